"""
A mail server that prints each mail as one line of JSON: a program for a pod.

It speaks as much of SMTP (RFC 5321) as a client without TLS and login needs.
"""

import asyncio
import json
import sys

PORT = 2525
_REPLIES = {b"EHLO": b"250 mail-front", b"QUIT": b"221 bye", b"DATA": b"354 go on"}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one client."""
    recipients: list[str] = []
    writer.write(b"220 mail-front\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        if verb == b"RCPT":
            recipients.append(line.decode().partition(":")[2].strip(" <>\r\n"))
        writer.write(_REPLIES.get(verb, b"250 OK") + b"\r\n")
        await writer.drain()
        if verb == b"DATA":
            text = (await reader.readuntil(b"\r\n.\r\n")).decode()
            sys.stdout.write(json.dumps({"to": recipients, "text": text}) + "\n")
            sys.stdout.flush()
            recipients = []
            writer.write(b"250 OK\r\n")
        if verb == b"QUIT":
            break
    writer.close()


async def main() -> None:
    """Serve until the pod ends."""
    server = await asyncio.start_server(serve, "0.0.0.0", PORT)  # noqa: S104 - a pod
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
