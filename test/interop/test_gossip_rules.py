"""memberlist's rules, seen from outside: what a member does with each message. A stock agent and shoal are held to the
same, and where they differ the test says so."""
import random
import socket
import time

from both import event, on_every_member
from gossip_wire import (ACK, ALIVE, ALIVE_STATE, COMPOUND, DEAD, DEAD_STATE, HAS_CRC, LEFT_STATE, PING, SERF_EVENT,
                         SERF_LEAVE, SUSPECT, SUSPECT_STATE, USER, VERSIONS, compound, compressed, encrypted, message,
                         new_msgpack_in, pack, with_crc)
from harness import check, hold_true, wait_until


def acked(peer, number, since, timeout=3):
    return peer.wait_for(ACK, where=lambda h: h.body["SeqNo"] == number, since=since, timeout=timeout)


def ghost(peer, name, state=ALIVE_STATE, incarnation=5, **changes):
    """An entry of a member that lives at the peer's address."""
    peer.also.add(name)
    return peer.entry(state, Name=name, Incarnation=incarnation, **changes)


# --- pings
# -------------------------------------------------------------------------------------------------------------


@on_every_member()
def test_a_ping_is_acked_to_the_source_that_it_names(subject):
    asker, other = subject.peer("asker"), subject.peer("other", join=False)
    mark = other.mark()
    asker.send(message(PING, {"Node": subject.name, "SeqNo": 41, "SourceAddr": other.address, "SourceNode": "other",
                              "SourcePort": other.port}), subject.port)
    check(acked(other, 41, mark), "no ack at the source that the ping names")
    mark = asker.mark()
    asker.send(message(PING, {"Node": subject.name, "SeqNo": 42}), subject.port)
    check(acked(asker, 42, mark), "no ack to the sender of a ping that names no source")
    check(not asker.all(ACK, where=lambda h: h.body["SeqNo"] == 41), "the ack went to the sender as well")


@on_every_member()
def test_a_ping_for_another_name_is_not_acked(subject):
    asker = subject.peer("asker")
    mark = asker.mark()
    asker.send(message(PING, {"Node": "somebody-else", "SeqNo": 51}), subject.port)
    asker.send(message(PING, {"Node": "", "SeqNo": 52}), subject.port)
    asker.send(message(PING, {"Node": subject.name, "SeqNo": 53}), subject.port)
    check(acked(asker, 52, mark) and acked(asker, 53, mark), "a ping without a name, or with its own, was not acked")
    check(not asker.all(ACK, where=lambda h: h.body["SeqNo"] == 51), "a ping for another name was acked")


@on_every_member()
def test_a_ping_over_a_stream_is_acked_on_it(subject):
    asker = subject.peer("asker")
    answer = asker.stream(subject.port, message(PING, {"Node": subject.name, "SeqNo": 61}))
    check(answer[:1] == bytes([ACK]), f"answered by {answer!r}")
    check(asker.stream(subject.port, message(PING, {"Node": "somebody-else", "SeqNo": 62})) == b"",
          "a ping for another name was answered")


@on_every_member()
def test_a_helper_passes_an_ack_on_and_says_when_it_heard_none(subject):
    asker, target = subject.peer("asker"), subject.peer("target")
    ask = {"Nack": True, "Node": "target", "Port": target.port, "SourceAddr": asker.address, "SourceNode": "asker",
           "SourcePort": asker.port, "Target": target.address}
    mark = asker.mark()
    asker.send(message(1, {**ask, "SeqNo": 71}), subject.port)
    passed_on = acked(asker, 71, mark)
    check(passed_on, "the target's ack was not passed on")
    check(not passed_on.body["Payload"], f"an ack that is passed on carries {passed_on.body['Payload']}")
    target.silent = True
    sent = time.monotonic()
    asker.send(message(1, {**ask, "SeqNo": 72}), subject.port)
    nack = asker.wait_for(11, where=lambda h: h.body["SeqNo"] == 72, since=mark)
    check(nack, "no word of a target that is silent")
    check(0.3 < nack.when - sent < 1.5, f"the nack came after {nack.when - sent:.2f} s, not after the probe's timeout")


@on_every_member(agents_may_say="fallback ping: EOF")
def test_a_suspect_hears_of_it_in_its_next_ping(subject):
    accused, _ = subject.peer("accused"), subject.peer("other")
    accused.silent = True
    found = accused.wait_for(SUSPECT, where=lambda h: h.about("accused") and h.with_kinds[:1] == [PING], timeout=15)
    check(found, f"no ping with the suspicion in it; heard {[h.kind for h in accused.all()][-20:]}")
    check(found.with_kinds == [PING, SUSPECT], f"the datagram held the kinds {found.with_kinds}")
    check(found.layers == (HAS_CRC, COMPOUND), f"its layers were {found.layers}")
    check(found.body["From"] == subject.name.encode(), f"accused by {found.body['From']}")


# --- who is alive
# ------------------------------------------------------------------------------------------------------


@on_every_member()
def test_an_accusation_is_refuted_with_a_higher_incarnation(subject):
    peer = subject.peer("peer")
    for kind in (SUSPECT, DEAD):
        incarnation = subject.state(peer).of(subject.name)[1]
        mark = peer.mark()
        peer.send(message(kind, {"From": "peer", "Incarnation": incarnation + 6, "Node": subject.name}), subject.port)
        # Its first alive may still be on its way as well.
        answer = peer.wait_for(ALIVE, where=lambda h, was=incarnation: h.about(subject.name)
                               and h.body["Incarnation"] > was, since=mark)
        check(answer and answer.body["Incarnation"] == incarnation + 7,
              f"accused at {incarnation + 6}, answered with {answer and answer.body}")
        check(answer.body["Vsn"][:4] == VERSIONS[:4] and len(answer.body["Vsn"]) == 6, f"versions {answer.body['Vsn']}")


_STATES = {"alive": ALIVE_STATE, "suspect": SUSPECT_STATE, "dead": DEAD_STATE, "left": LEFT_STATE}


def news(kind, node, incarnation, peer):
    if kind == "alive":
        return message(ALIVE, peer.alive(Node=node, Incarnation=incarnation))
    accuser = node if kind == "left" else "accuser"
    return message(SUSPECT if kind == "suspect" else DEAD,
                   {"From": accuser, "Incarnation": incarnation, "Node": node})


def after(state, kind, change, is_agent):
    """memberlist's table: (state, incarnation - 5) of a record that stood at `state` and 5."""
    if kind == "alive":
        return ("alive", change) if change > 0 else (state, 0)
    if change < 0 or state in ("dead", "left"):
        return state, 0
    if kind == "suspect" and state == "suspect" and (is_agent or change == 0):
        return state, 0  # A newer suspicion confirms an agent's old one; ours begins anew with it.
    return kind, change


@on_every_member()
def test_news_about_another_follows_the_table_of_states_and_incarnations(subject):
    peer = subject.peer("peer")
    cases = [(state, kind, change) for state in _STATES for kind in _STATES for change in (-1, 0, 1)]
    names = {f"{state}-{kind}-{change}": (state, kind, change) for state, kind, change in cases}
    peer.exchange(subject.port, [peer.entry()] + [ghost(peer, name) for name in names])
    for name, (state, _, _) in names.items():
        if state != "alive":
            peer.send(news(state, name, 5, peer), subject.port)
    before = subject.settled(peer)
    for name, (state, _, _) in names.items():
        check(before.of(name) == (_STATES[state], 5), f"{name} stands at {before.of(name)}")
    for name, (_, kind, change) in names.items():
        peer.send(news(kind, name, 5 + change, peer), subject.port)
    now = subject.settled(peer)
    for name, (state, kind, change) in names.items():
        wanted, moved = after(state, kind, change, subject.is_agent)
        check(now.of(name) == (_STATES[wanted], 5 + moved),
              f"{state} at 5, then {kind} at {5 + change}: {now.of(name)}, not {wanted} at {5 + moved}")


@on_every_member()
def test_hearsay_of_a_death_is_a_suspicion_and_of_a_departure_a_departure(subject):
    peer = subject.peer("peer")
    peer.exchange(subject.port, [peer.entry()] + [ghost(peer, f"third-{i}") for i in (1, 2, 3)])
    mark = peer.mark()
    peer.exchange(subject.port, [peer.entry()] + [ghost(peer, f"third-{i}", state=i) for i in (1, 2, 3)], join=False)
    state = wait_until(lambda: (s := subject.state(peer)).of("third-3") == (LEFT_STATE, 5) and s, 5, "third-3 left")
    for name in ("third-1", "third-2"):
        check(state.of(name) == (SUSPECT_STATE, 5), f"{name} stands at {state.of(name)}, not suspect")
        told = peer.wait_for(SUSPECT, where=lambda h, n=name: h.about(n), since=mark)
        check(told and told.body["From"] == subject.name.encode(), f"who accuses {name}: {told and told.body}")


@on_every_member()
def test_an_address_of_sixteen_bytes_is_told_on_with_sixteen(subject):
    mapped = b"\x00" * 10 + b"\xff\xff" + socket.inet_aton("127.0.0.1")
    observer = subject.peer("observer")
    subject.peer("mapped", raw_address=mapped)
    check(subject.state(observer).nodes["mapped"]["Addr"] == mapped, "the push/pull's entry has another address")
    told = observer.wait_for(ALIVE, where=lambda h: h.about("mapped"))
    check(told and told.body["Addr"] == mapped, f"gossip says {told and told.body}")


@on_every_member(agents_may_say="is incompatible")
def test_every_entry_of_a_push_pull_has_versions_that_all_can_live_with(subject):
    peer = subject.peer("peer")
    doomed = [ghost(peer, f"gone-{i}") for i in (2, 3)]
    peer.exchange(subject.port, [peer.entry(), *doomed])
    peer.send(news("dead", "gone-2", 5, peer), subject.port)
    peer.send(news("left", "gone-3", 5, peer), subject.port)
    peer.send(message(ALIVE, peer.alive(Node="versionless", Vsn=b"")), subject.port)
    state = subject.settled(peer)
    check((state.of("gone-2"), state.of("gone-3")) == ((DEAD_STATE, 5), (LEFT_STATE, 5)), "the ghosts are not gone")
    for name, entry in state.nodes.items():
        versions = entry["Vsn"]
        if subject.is_agent and name == "versionless":
            continue  # memberlist 0.2.2 takes it in, and every later push/pull with it fails: shoal must not.
        check(len(versions) == 6 and versions[0] <= versions[2] <= versions[1] and versions[3] <= versions[5]
              <= versions[4] and versions[2] == 2, f"{name} has the versions {versions.hex()}")


@on_every_member(agents_may_say="is incompatible")
def test_an_entry_without_versions_spoils_an_agents_merge_and_not_ours(subject):
    peer = subject.peer("peer")
    entries = [peer.entry(), ghost(peer, "newcomer"), ghost(peer, "broken", DEAD_STATE, Vsn=b"\x00" * 6)]
    peer.exchange(subject.port, entries, join=False)
    if subject.is_agent:
        subject.program.log.wait_for("[Ii]ncompatible|not compatible|protocol version", 5)
        check("newcomer" not in subject.settled(peer).nodes, "the agent has merged the others")
    else:
        wait_until(lambda: "newcomer" in subject.state(peer).nodes, 5, "the good entry merged")
        check("broken" not in subject.state(peer).nodes, "the broken entry was taken")


# --- datagrams
# ---------------------------------------------------------------------------------------------------------


@on_every_member()
def test_a_checksum_is_held_to_and_never_required(subject):
    peer = subject.peer("peer")
    good = with_crc(message(PING, {"Node": subject.name, "SeqNo": 81}))
    flipped = bytearray(with_crc(message(PING, {"Node": subject.name, "SeqNo": 82})))
    flipped[-1] ^= 4  # Another SeqNo.
    mark = peer.mark()
    for data in (good, bytes(flipped), message(PING, {"Node": subject.name, "SeqNo": 83})):
        peer.send(data, subject.port)
    check(acked(peer, 81, mark) and acked(peer, 83, mark), "a good checksum, or none, was not taken")
    check(len(peer.all(ACK, since=mark)) == 2, f"acks: {[h.body for h in peer.all(ACK, since=mark)]}")


@on_every_member()
def test_packets_may_be_compressed_and_nested(subject):
    peer = subject.peer("peer")
    pings = [message(PING, {"Node": subject.name, "SeqNo": n}) for n in (91, 92, 93, 94)]
    mark = peer.mark()
    peer.send(with_crc(compressed(compound(pings[0], compressed(pings[1]), compound(pings[2])))), subject.port)
    peer.send(compressed(compressed(pings[3])), subject.port)
    for number in (91, 92, 93, 94):
        check(acked(peer, number, mark), f"the ping {number} was not acked")


@on_every_member()
def test_unknown_keys_and_trailing_bytes_are_passed_over(subject):
    peer = subject.peer("peer")
    mark = peer.mark()
    peer.send(message(PING, {"Node": subject.name, "SeqNo": 101, "Zebra": {"a": [1, None, {"b": "c"}]}, "Aaa": 1}) +
              b"\x00\xff", subject.port)
    check(acked(peer, 101, mark), "a ping with keys more and bytes behind it was not acked")
    peer.send(message(ALIVE, {**peer.alive(Node="newer", Incarnation=3), "Region": "x" * 40}) + b"\x01", subject.port)
    check(subject.settled(peer).of("newer") == (ALIVE_STATE, 3), "an alive with a key more was not taken")
    later = {**peer.entry(Name="later"), "Weight": 1 << 40}
    peer.exchange(subject.port, [later], serf={"Future": ["x", {"y": 1}]}, join=False)
    check(subject.settled(peer).of("later"), "a push/pull's entry with a key more was not taken")


@on_every_member(name="subject-with-a-name-of-forty-characters-", tags={"note": "n" * 200, "short": "s"},
                 agents_may_say="fallback ping: EOF")
def test_members_write_the_old_msgpack_alone(subject):
    """Strings of 32 to 255 bytes and all bytes as raw16: memberlist 0.2.2 cannot read str8 and bin."""
    first, second = subject.peer("first-with-a-name-of-forty-characters-1"), subject.peer("second")
    for number in range(5):
        first.send(event(number + 1, "name" * 10, b"p" * (60 * number)), subject.port)
        first.send(message(PING, {"Node": subject.name, "SeqNo": number}), subject.port)
    second.silent = True
    check(first.wait_for(SUSPECT, where=lambda h: h.about("second"), timeout=15), "no suspicion was told")
    state = subject.state(first)
    entries = state.raw
    for data, at in ((entries, 1), *((h.data, 1 if h.serf is None else 2) for h in first.all() + second.all())):
        found = new_msgpack_in(data[at:])
        check(found is None, f"the type byte {found} in {data!r}")
    check({h.kind for h in first.all()} >= {PING, ACK, ALIVE, SUSPECT, USER}, "too few kinds of messages were heard")
    check(not first.unreadable and not second.unreadable, f"unreadable: {first.unreadable + second.unreadable}")


@on_every_member()
def test_three_hundred_small_broadcasts_make_whole_datagrams(subject):
    peers = [subject.peer(f"peer-{i}") for i in range(3)]
    for at in range(0, 300, 20):
        peers[0].send(compound(*[event(n + 1, "e", str(n).encode()) for n in range(at, at + 20)]), subject.port)

    def told():
        return {h.body["Payload"] for p in peers for h in p.all(USER, SERF_EVENT)}
    wait_until(lambda: len(told()) == 300, 20, "all 300 told on", every=0.1)
    limit = 1400 + 5  # The checksum is not in the budget, with encryption either.
    for peer in peers:
        check(not peer.unreadable, f"unreadable: {peer.unreadable[:2]}")
        check(all(2 <= len(h.with_kinds) <= 127 for h in peer.all(USER) if COMPOUND in h.layers),
              "a compound with a wrong number of parts")
        check(max(peer.sizes) <= limit, f"a datagram of {max(peer.sizes)} bytes")
    check(max(len(h.with_kinds) for p in peers for h in p.all(USER)) > 20, "the datagrams are not filled")


def count_copies(subject, members, limit):
    peers = [subject.peer(f"peer-{i}") for i in range(members - 1)]
    wait_until(lambda: len(subject.state(peers[0]).nodes) == members, 5, f"{members} members")
    data = event(40, "counted", b"once")
    peers[0].send(data, subject.port)

    def copies():
        return sum(len(p.all(USER, SERF_EVENT, where=lambda h: h.data == data)) for p in peers)
    wait_until(lambda: copies() >= limit, 10, f"{limit} copies among {members} members", every=0.05)
    # Five rounds of gossip more. What comes again is not told again either.
    peers[0].send(data, subject.port)
    hold_true(lambda: copies() == limit, 1, f"no more than {limit} copies among {members} members")


@on_every_member()
def test_an_event_is_told_four_times_among_three(subject):
    count_copies(subject, 3, 4)


@on_every_member()
def test_an_event_is_told_eight_times_among_ten(subject):
    count_copies(subject, 10, 8)


# --- streams
# -----------------------------------------------------------------------------------------------------------


@on_every_member(seconds=90)
def test_a_large_state_goes_compressed_both_ways(subject):
    """Two hundred members with random and with repetitive tags: over 70 kB, every change of the code's width."""
    peer = subject.peer("peer")
    rng = random.Random(7)
    metas = {f"g{i:03}": b"\xff" + pack({"t": rng.randbytes(380) if i % 2 else b"ab" * 190}) for i in range(200)}
    peer.also |= set(metas)
    entries = [peer.entry(Name=name, Incarnation=1, Meta=meta) for name, meta in metas.items()]
    peer.exchange(subject.port, [peer.entry(), *entries], compress=True, join=False)
    state = wait_until(lambda: (s := subject.state(peer)) and len(s.nodes) == 202 and s, 10, "202 members", every=0.1)
    check(all(state.nodes[name]["Meta"] == meta for name, meta in metas.items()), "a member's tags have changed")
    check(len(state.raw) > 70_000, f"only {len(state.raw)} bytes")


@on_every_member(seconds=90, encrypted=(False,))
def test_a_state_of_a_thousand_members_may_trickle_in(subject):
    peer = subject.peer("peer")
    peer.also |= {f"g{i:04}" for i in range(1000)}
    entries = [peer.entry(Name=f"g{i:04}", Incarnation=1, Meta=b"\xff\x80") for i in range(1000)]
    peer.exchange(subject.port, [peer.entry(), *entries], join=False, timeout=10, piece=7)
    wait_until(lambda: len(subject.state(peer).nodes) == 1002, 10, "1002 members", every=0.1)


@on_every_member()
def test_an_answer_is_what_was_known_before_the_question(subject):
    """A joiner is not in the answer to its own join."""
    subject.peer("first")
    second = subject.peer("second", join=False)
    answer = second.exchange(subject.port)
    check(set(answer.nodes) == {subject.name, "first"}, f"the answer names {sorted(answer.nodes)}")
    check(set(subject.state(second).nodes) == {subject.name, "first", "second"}, "the joiner was not taken in")


@on_every_member(encrypted=(True,), agents_may_say="decrypt|not encrypted")
def test_an_encrypted_member_takes_both_versions_and_nothing_in_clear(subject):
    peer = subject.peer("peer")
    mark = peer.mark()
    for version, number in ((1, 111), (0, 112)):
        data = encrypted(peer.keys[0], message(PING, {"Node": subject.name, "SeqNo": number}), version=version)
        peer._udp.sendto(data, ("127.0.0.1", subject.port))
        check(acked(peer, number, mark), f"a packet of version {version} was not taken")
    peer._udp.sendto(message(PING, {"Node": subject.name, "SeqNo": 113}), ("127.0.0.1", subject.port))
    stranger = subject.peer("stranger", join=False, keys=[bytes(32)])
    stranger.send(message(PING, {"Node": subject.name, "SeqNo": 114}), subject.port)
    peer.send(message(PING, {"Node": subject.name, "SeqNo": 115}), subject.port)
    check(acked(peer, 115, mark), "the ping after the bad ones was not acked")
    check(not peer.all(ACK, where=lambda h: h.body["SeqNo"] == 113), "a ping in clear was acked")
    check(not stranger.heard and not stranger.unreadable, "a stranger's key was answered")
    check(all(h.key == peer.keys[0] for h in peer.all()), "something was not encrypted")
    for keys in ([], [bytes(32)]):
        outsider = subject.peer(f"outsider{len(keys)}", join=False, keys=keys)
        outsider.join(subject.port)
        check(outsider.name not in subject.state(peer).nodes, f"joined with the keys {keys}")


@on_every_member()
def test_a_leave_is_told_by_intent_first_and_then_by_its_own_death(subject):
    peer = subject.peer("peer")
    if subject.is_agent:
        subject.program.command("leave", timeout=30)
    else:
        check(subject.program.stop(30) == 0, "not 0")
    heard = peer.all(where=lambda h: (h.kind == DEAD or h.serf == SERF_LEAVE) and h.about(subject.name))
    kinds = ["intent" if h.serf == SERF_LEAVE else "dead" for h in heard]
    check(kinds[:1] == ["intent"] and "dead" in kinds, f"the order was {kinds}")
    dead = next(h for h in heard if h.kind == DEAD)
    check(dead.body["From"] == dead.body["Node"], f"its death is told by {dead.body['From']}")
