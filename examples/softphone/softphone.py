"""A small softphone on aiortc: one side answers, the other calls, both send audio and listen.

    python softphone.py answer
    python softphone.py call 127.0.0.1:40123 --seconds 20

Offer and answer travel as one line of JSON each over TCP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from asyncio import StreamReader, StreamWriter

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole, MediaPlayer
from aiortc.mediastreams import AudioStreamTrack

LONGEST_SDP = 1 << 20


def make_phone(audio_file: str | None) -> tuple[RTCPeerConnection, asyncio.Event]:
    """A connection that speaks and listens, and an event that says when it is over."""
    pc, over = RTCPeerConnection(RTCConfiguration(iceServers=[])), asyncio.Event()
    pc.addTrack(MediaPlayer(audio_file, loop=True).audio if audio_file else AudioStreamTrack())
    speaker = MediaBlackhole()  # put a MediaRecorder or a sound card here

    @pc.on("track")
    async def on_track(track: MediaStreamTrack) -> None:
        speaker.addTrack(track)
        await speaker.start()

    @pc.on("connectionstatechange")
    def on_connectionstatechange() -> None:
        print(pc.connectionState, flush=True)
        if pc.connectionState in {"closed", "failed"}:
            over.set()

    return pc, over


async def send(writer: StreamWriter, description: RTCSessionDescription) -> None:
    writer.write(json.dumps({"type": description.type, "sdp": description.sdp}).encode() + b"\n")
    await writer.drain()


async def receive(reader: StreamReader) -> RTCSessionDescription:
    return RTCSessionDescription(**json.loads(await reader.readline()))


async def answer(args: argparse.Namespace) -> None:
    done = asyncio.Event()

    async def ring(reader: StreamReader, writer: StreamWriter) -> None:
        pc, over = make_phone(args.play)
        await pc.setRemoteDescription(await receive(reader))
        await pc.setLocalDescription(await pc.createAnswer())
        await send(writer, pc.localDescription)
        await over.wait()
        writer.close()
        done.set()

    server = await asyncio.start_server(ring, "127.0.0.1", args.port, limit=LONGEST_SDP)
    host, port = server.sockets[0].getsockname()
    print(f"answering on {host}:{port}", flush=True)
    await done.wait()
    server.close()


async def call(args: argparse.Namespace) -> None:
    host, port = args.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), limit=LONGEST_SDP)
    pc, over = make_phone(args.play)
    await pc.setLocalDescription(await pc.createOffer())
    await send(writer, pc.localDescription)
    await pc.setRemoteDescription(await receive(reader))
    try:
        await asyncio.wait_for(over.wait(), args.seconds)
    except asyncio.TimeoutError:
        await pc.close()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A small softphone on aiortc.")
    commands = parser.add_subparsers(dest="command", required=True)
    answering = commands.add_parser("answer", help="wait for one call")
    answering.add_argument("--port", type=int, default=0)
    calling = commands.add_parser("call", help="call somebody who answers")
    calling.add_argument("address", help="host:port")
    calling.add_argument("--seconds", type=float, default=20)
    for each in (answering, calling):
        each.add_argument("--play", metavar="FILE", help="what to say (default: silence)")
    args = parser.parse_args()
    asyncio.run(answer(args) if args.command == "answer" else call(args))


if __name__ == "__main__":
    main()
