"""The files of a workspace, kept in a folder: `/Users/x` and `/Workspace/Users/x` are one."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path, PurePosixPath
from typing import Any


class Refused(Exception):  # noqa: N818
    """An answer that is no success: its status, its error code, what it says."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Files:
    """`folder` stands for `/Workspace`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def local(self, path: str) -> Path:
        """Where a path of the workspace is kept."""
        parts = PurePosixPath("/" + path.lstrip("/")).parts[1:]
        if ".." in parts or "\0" in path:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Path ({path}) is not valid")
        return self.folder.joinpath(*parts[1:] if parts[:1] == ("Workspace",) else parts)

    def write(self, path: str, content: bytes, *, overwrite: bool) -> None:
        file = self.local(path)
        if not file.parent.is_dir():
            raise Refused(
                404, "RESOURCE_DOES_NOT_EXIST", f"The parent folder ({PurePosixPath(path).parent}) is not there"
            )
        if file.exists() and not overwrite:
            raise Refused(409, "RESOURCE_ALREADY_EXISTS", f"Path ({path}) already exists")
        file.write_bytes(content)

    def read(self, path: str) -> bytes:
        return self._there(path).read_bytes()

    def make_folder(self, path: str) -> None:
        self.local(path).mkdir(parents=True, exist_ok=True)

    def delete(self, path: str, *, recursive: bool) -> None:
        place = self._there(path)
        if place.is_file():
            place.unlink()
        elif recursive or not any(place.iterdir()):
            shutil.rmtree(place)
        else:
            raise Refused(400, "DIRECTORY_NOT_EMPTY", f"Folder ({path}) is not empty")

    def status(self, path: str) -> dict[str, Any]:
        place = self._there(path)
        number = zlib.crc32(str(place).encode())
        kind = {"object_type": "DIRECTORY"} if place.is_dir() else {"object_type": "FILE", "size": place.stat().st_size}
        return {
            **kind,
            "path": path,
            "object_id": number,
            "resource_id": str(number),
            "modified_at": int(place.stat().st_mtime * 1000),
        }

    def _there(self, path: str) -> Path:
        place = self.local(path)
        if not place.exists():
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"Path ({path}) doesn't exist.")
        return place
