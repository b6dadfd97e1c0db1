"""TLS of servers."""

from __future__ import annotations

import ssl
from pathlib import Path

from segue.errors import SegueError
from segue_web.access.addresses import LOOPBACK


def encryption(
    host: str, certfile: Path | None, keyfile: Path | None, *, plain_http: bool
) -> ssl.SSLContext | None:
    """TLS context of a server; None without encryption.

    Args:
        host: address to listen on.
        certfile: certificate in PEM, with those that it depends on.
        keyfile: its key; None where that is in the same file.
        plain_http: whether it is meant to use HTTP beyond this machine, as behind a proxy that encrypts.

    Raises:
        SegueError: it would be reached from elsewhere without encryption, the options exclude each other, or
            the certificate cannot be used.
    """
    if keyfile is not None and certfile is None:
        raise SegueError("--keyfile is the key of a certificate; give --certfile")
    if certfile is not None and plain_http:
        raise SegueError("--certfile is for HTTPS, --plain-http for none; give one of them")
    if host not in LOOPBACK and certfile is None and not plain_http:
        raise SegueError(
            f"--host {host}: passwords, tokens and images would cross the network unencrypted; give "
            "--certfile and --keyfile, or --plain-http if a proxy encrypts them or everybody there may read "
            "them"
        )
    return None if certfile is None else certificate(certfile, keyfile)


def certificate(certfile: Path, keyfile: Path | None) -> ssl.SSLContext:
    """Load a certificate; raise an error if it is unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, certfile, keyfile)
    return context


def load_certificate(context: ssl.SSLContext, certfile: Path, keyfile: Path | None) -> None:
    """Use a renewed certificate for new connections."""
    try:
        # A key with a passphrase would be asked for at the terminal, twice.
        context.load_cert_chain(certfile, keyfile, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise SegueError(
            f"--certfile {certfile}: no certificate with its key, in PEM without passphrase ({reason})"
        ) from None
