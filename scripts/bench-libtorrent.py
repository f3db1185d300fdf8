"""Gives one file from a libtorrent seeder to several libtorrent leechers on loopback, each in a process of its own.

usage: bench-libtorrent.py FILE FOLDER LEECHERS [UPLOAD_LIMITS]
Prints the seconds from the start of the leechers until the last of them has the whole file, verified. UPLOAD_LIMITS are
bytes a second, of the seeder and of each leecher, joined by commas; then sessions are up before the time is taken, as
p2pfs's peers are.

The peers are told of each other, so neither tracker nor DHT takes part. Everything that would slow loopback down is
off: encryption, uTP, choking, small request queues. Making the torrent and the seeder's check are not counted, just as
publishing is not counted for p2pfs.
"""

import multiprocessing
import os
import socket
import sys
import time

import libtorrent

PIECE_BYTES = 1 << 20
PIECE_BYTES_OF_SMALL = 1 << 18
TICK_SECONDS = 0.01
REDIAL_SECONDS = 1.0
TIMEOUT_SECONDS = 600
PLAINTEXT_ONLY = 2
EVERY_PEER = -1

SETTINGS = {
    "alert_mask": 0,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": PLAINTEXT_ONLY,
    "out_enc_policy": PLAINTEXT_ONLY,
    "allow_multiple_connections_per_ip": True,
    "connection_speed": 500,
    "unchoke_slots_limit": EVERY_PEER,
    "max_out_request_queue": 2000,
    "max_allowed_in_request_queue": 4000,
    "send_buffer_watermark": 3 << 20,
    "send_buffer_watermark_factor": 150,
    "aio_threads": 4,
    "hashing_threads": 2,
}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def make_torrent(file, path, piece_bytes):
    storage = libtorrent.file_storage()
    libtorrent.add_files(storage, file)
    flags = getattr(libtorrent.create_torrent, "v1_only", 64)
    torrent = libtorrent.create_torrent(storage, piece_bytes, flags=flags)
    libtorrent.set_piece_hashes(torrent, os.path.dirname(file))
    with open(path, "wb") as output:
        output.write(libtorrent.bencode(torrent.generate()))


def open_session(port, upload_limit):
    session = libtorrent.session({**SETTINGS, "listen_interfaces": f"127.0.0.1:{port}"})
    if upload_limit is not None:
        session.apply_settings({"upload_rate_limit": upload_limit, "rate_limit_ip_overhead": False})
        # Peers of the own network are in a class without limits; here nobody is.
        everybody = libtorrent.ip_filter()
        everybody.add_rule("0.0.0.0", "255.255.255.255", 1)
        session.set_peer_class_filter(everybody)
    return session


def take_part(torrent, folder, port, others, upload_limit, ready, begin, complete, stop):
    """One peer: connects to the others, tells when it has everything, serves until told to stop."""
    session = open_session(port, upload_limit)
    ready.set()
    begin.wait()
    handle = session.add_torrent({"ti": libtorrent.torrent_info(torrent), "save_path": folder})
    handle.unset_flags(libtorrent.torrent_flags.auto_managed)
    handle.resume()
    dialled = 0.0
    while not handle.status().is_seeding:
        if time.monotonic() - dialled > REDIAL_SECONDS:
            dialled = time.monotonic()
            for other in others:
                handle.connect_peer(("127.0.0.1", other))
        time.sleep(TICK_SECONDS)
    complete.set()
    stop.wait()


def start(*arguments):
    process = multiprocessing.Process(target=take_part, args=arguments, daemon=True)
    process.start()
    return process


def wait_for_all(events, complaint):
    if not all(each.wait(TIMEOUT_SECONDS) for each in events):
        sys.exit(complaint)


def main():
    file, folder, leechers = os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    is_limited = len(sys.argv) > 4
    limits = [int(limit) for limit in sys.argv[4].split(",")] if is_limited else [None] * (leechers + 1)
    torrent = os.path.join(folder, "file.torrent")
    make_torrent(file, torrent, PIECE_BYTES_OF_SMALL if is_limited else PIECE_BYTES)
    stop, begin = multiprocessing.Event(), multiprocessing.Event()
    ports = free_ports(leechers + 1)
    complete = [multiprocessing.Event() for _ in ports]
    ready = [multiprocessing.Event() for _ in ports]
    at_once = multiprocessing.Event()
    at_once.set()
    seeder = start(torrent, os.path.dirname(file), ports[0], [], limits[0], ready[0], at_once, complete[0], stop)
    processes = [seeder]
    wait_for_all(complete[:1], "the seeder did not come up")

    started = time.monotonic()
    if not is_limited:
        begin.set()
    for index in range(1, leechers + 1):
        destination = os.path.join(folder, f"leecher-{index}")
        os.mkdir(destination)
        peer = (torrent, destination, ports[index], ports[:index], limits[index])
        processes.append(start(*peer, ready[index], begin, complete[index], stop))
    if is_limited:
        wait_for_all(ready, "a leecher did not come up")
        started = time.monotonic()
        begin.set()
    wait_for_all(complete, "a leecher did not finish")
    print(f"{time.monotonic() - started:.3f}")

    stop.set()
    for process in processes:
        process.join(10)
        if process.is_alive():
            process.terminate()


main()
