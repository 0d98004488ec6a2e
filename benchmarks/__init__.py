"""What laketasks costs, beside what a user would take instead. Never a test: machines are shared and noisy."""
