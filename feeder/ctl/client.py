"""Asking a feeder over its control socket (feeder.telemetry.control has the requests)."""

import errno
import grp
import json
import pwd
import select
import socket
import struct
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from feeder.errors import ConfigError, ControlError

SILENCE_SECONDS: Final = 3.0  # then the feeder is asked whether it is there
PROBE_SECONDS: Final = 2.0  # for the answer to that: together what a feeder that hangs is given
PATIENCE_SECONDS: Final = 120.0  # for one that is there, and works on what it was told
_PEER = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class ControlClient:
    """One feeder, by the path of its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, path: str, query: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
        """What the feeder tells. Raises ControlError, with what to do."""
        return self._ask("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Tell the feeder to do something; what it says. Raises ControlError, and the ConfigError that it found."""
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        connection = _UnixConnection(self._path, SILENCE_SECONDS + PROBE_SECONDS)
        try:
            connection.request(method, path, body)
            self._wait(connection.sock)
            reply = connection.getresponse()
            answer = _object(reply.read())
        except TimeoutError as error:
            raise self._silent(connection.peer) from error
        except (HTTPException, ConnectionResetError, BrokenPipeError) as error:
            # It accepts no more than so many clients at once, and ends them all when it ends.
            remedy = "it is ending, or has too many clients: look at its log, or ask again"
            raise ControlError(f"{self._path}: the feeder closed the connection without an answer; {remedy}") from error
        except OSError as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise ControlError(f"{self._path}: what answers there is no feeder; is control.socket right?") from error
        finally:
            connection.close()
        if reply.status == 200:
            return answer
        if reply.status == 422:
            raise ConfigError(answer["path"], answer["problem"], answer["remedy"])
        raise ControlError(f"{self._path}: {answer.get('error', f'status {reply.status}')}")

    def _wait(self, sock: socket.socket) -> None:
        """Until the answer begins: a reload may wait for the exchange, but the feeder must be there meanwhile."""
        waited = 0.0
        while not select.select([sock], [], [], SILENCE_SECONDS)[0]:
            waited += SILENCE_SECONDS
            if not self._is_there():
                raise TimeoutError
            if waited >= PATIENCE_SECONDS:
                remedy = "it may still do it: see `feeder ctl status` and its log"
                raise ControlError(f"{self._path}: not done within {PATIENCE_SECONDS:g} s; {remedy}")

    def _is_there(self) -> bool:
        probe = _UnixConnection(self._path, PROBE_SECONDS)
        try:
            probe.request("GET", "/log-level")
            return probe.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            probe.close()

    def _silent(self, pid: int | None) -> ControlError:
        who = "the feeder" if pid is None else f"the feeder (process {pid})"
        seconds = SILENCE_SECONDS + PROBE_SECONDS
        remedy = "it hangs, is stopped, or has far too much to do: look at `feeder ctl top` and its log"
        return ControlError(f"{self._path}: {who} does not answer within {seconds:g} s; {remedy}")

    def _unreachable(self, error: OSError) -> ControlError:
        path = self._path
        if isinstance(error, FileNotFoundError):
            remedy = (
                "is a feeder with this control.socket running? --config, --shard or --socket say which one is meant"
            )
            return ControlError(f"{path}: no such socket; {remedy}")
        if isinstance(error, ConnectionRefusedError):
            if not path.is_socket():
                return ControlError(f"{path}: is no socket; --config, --shard or --socket say which feeder is meant")
            return ControlError(f"{path}: nobody answers; the feeder that made it has died: start it again")
        if isinstance(error, PermissionError):
            return ControlError(f"{path}: no permission; {_who_may(path)}")
        if error.errno == errno.EAGAIN:  # its queue of clients is full
            return self._silent(None)
        return ControlError(f"{path}: {error.strerror or error}; --socket names the feeder's own")


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket; `peer` is the process that listens there, once connected."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("feeder", timeout=timeout)
        self._path = path
        self.peer: int | None = None

    def connect(self) -> None:
        """As HTTPConnection does it for TCP."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
        found = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        self.peer = _PEER.unpack(found)[0] or None  # 0: in a container whose processes are not seen from here


def _object(text: bytes) -> dict[str, Any]:
    """Raises ValueError for what no feeder answers."""
    answer = json.loads(text)
    if not isinstance(answer, dict):
        raise ValueError("not an object")  # noqa: TRY004 - as what is no JSON at all
    return answer


def _who_may(path: Path) -> str:
    """What to do about a socket that one may not use."""
    try:
        status = path.stat()
    except OSError:
        return f"be one who may look into {path.parent}"
    try:
        owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        owner, group = str(status.st_uid), str(status.st_gid)
    return f"be user {owner} or in group {group}, as with sudo -u {owner}"
