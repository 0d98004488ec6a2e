"""What the user has to put right before a step of the example can go on."""


class ExampleError(Exception):
    """A step that cannot be done; the message says why and what to do."""
