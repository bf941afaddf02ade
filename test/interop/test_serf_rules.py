"""serf's rules, seen from outside: clocks, intents, events and queries. A stock agent and shoal are held to the same,
and where they differ the test says so."""
import socket

from both import event, on_every_member
from gossip_wire import (ACK_WANTED, ALIVE_STATE, LEFT_STATE, NO_BROADCAST, SERF_EVENT, SERF_JOIN, SERF_LEAVE,
                         SERF_QUERY, SERF_RELAY, SERF_RESPONSE, USER, pack, unpack)
from harness import check, hold_true, wait_until


def leave_intent(ltime, node, prune=False):
    return bytes([USER, SERF_LEAVE]) + pack({"LTime": ltime, "Node": node, "Prune": prune})


def join_intent(ltime, node):
    return bytes([USER, SERF_JOIN]) + pack({"LTime": ltime, "Node": node})


def ping_query(peer, **changes):
    """serf's own ping: every member that the filters let pass acks it."""
    return peer.query_message("_serf_ping", b"", **{"Flags": ACK_WANTED, **changes})


def is_acked(subject, asker, **changes):
    """A query's ack is sent before the query's successor is: one more query shows that none will come."""
    number, data = ping_query(asker, LTime=subject.state(asker).serf["QueryLTime"], **changes)
    asker.send(data, subject.port)
    last, data = ping_query(asker, LTime=subject.state(asker).serf["QueryLTime"])
    asker.send(data, subject.port)
    wait_until(lambda: last in asker.acked, 5, f"{subject.what}: the ack of a query without filters")
    return number in asker.acked


# --- clocks
# ------------------------------------------------------------------------------------------------------------


@on_every_member()
def test_each_clock_goes_one_past_what_it_hears_and_stands_at_what_a_push_pull_says(subject):
    peer = subject.peer("peer")
    peer.send(event(100, "x"), subject.port)
    _, data = ping_query(peer, LTime=110, Flags=0)
    peer.send(data, subject.port)
    peer.send(leave_intent(120, "nobody"), subject.port)
    wait_until(lambda: (s := subject.state(peer).serf)["EventLTime"] == 101 and s["QueryLTime"] == 111
               and s["LTime"] == 121, 5, "the clocks at 101, 111, 121")
    peer.exchange(subject.port, serf={"EventLTime": 200, "QueryLTime": 210, "LTime": 220}, join=False)
    wait_until(lambda: (s := subject.state(peer).serf)["EventLTime"] == 200 and s["QueryLTime"] == 210
               and s["LTime"] == 220, 5, "the clocks at 200, 210, 220")
    peer.send(event(50, "older"), subject.port)
    check(subject.settled(peer).serf["EventLTime"] == 201, "an older event moved the clock")


# --- intents
# -----------------------------------------------------------------------------------------------------------


@on_every_member()
def test_one_leave_intent_sent_a_hundred_times_is_told_on_as_one(subject):
    peer, other = subject.peer("peer"), subject.peer("other")
    data = leave_intent(subject.state(peer).serf["LTime"] + 5, "other")

    def copies():
        return sum(len(p.all(USER, SERF_LEAVE, where=lambda h: h.data == data)) for p in (peer, other))
    for _ in range(100):
        peer.send(data, subject.port)
    wait_until(lambda: copies() == 4, 5, f"{subject.what}: four copies of the intent")
    for _ in range(100):
        peer.send(data, subject.port)
    hold_true(lambda: copies() == 4, 1, "four copies among three members, not more")


@on_every_member()
def test_a_leave_intent_about_itself_is_refuted(subject):
    peer = subject.peer("peer")
    time = subject.state(peer).serf["LTime"] + 9
    peer.send(leave_intent(time, subject.name), subject.port)
    answer = peer.wait_for(USER, SERF_JOIN, where=lambda h: h.about(subject.name) and h.body["LTime"] > time)
    check(answer, "no join intent with a later time")
    state = subject.settled(peer)
    check(state.of(subject.name)[0] == ALIVE_STATE and subject.name.encode() not in (state.serf["LeftMembers"] or []),
          f"it counts itself as gone: {state.serf['LeftMembers']}")


@on_every_member()
def test_a_member_that_died_after_its_intent_has_left_and_comes_back_with_its_tags(subject):
    peer, leaver = subject.peer("peer"), subject.peer("leaver", tags={"role": "x", "zone": "a"})
    leaver.refutes = False
    peer.send(leave_intent(subject.state(peer).serf["LTime"] + 1, "leaver"), subject.port)
    subject.settled(peer)
    peer.send(b"\x05" + pack({"From": "leaver", "Incarnation": 1, "Node": "leaver"}), subject.port)
    state = subject.settled(peer)
    check(state.of("leaver") == (LEFT_STATE, 1), f"its record: {state.of('leaver')}")
    check(state.serf["LeftMembers"] == [b"leaver"], f"who has left: {state.serf['LeftMembers']}")
    leaver.incarnation, leaver.tags = 2, {"role": "x", "zone": "b"}
    leaver.send(b"\x04" + pack(leaver.alive()), subject.port)
    state = subject.settled(peer)
    check(state.of("leaver") == (ALIVE_STATE, 2) and not state.serf["LeftMembers"], f"back: {state.of('leaver')}")
    check(state.nodes["leaver"]["Meta"] == b"\xff" + pack(leaver.tags), "its new tags are not told on")


# --- events
# ------------------------------------------------------------------------------------------------------------


@on_every_member()
def test_an_event_is_told_on_as_it_came_once(subject):
    peer, other = subject.peer("peer"), subject.peer("other")
    # With a key that no serf knows: only who repeats the bytes repeats it too.
    data = bytes([USER, SERF_EVENT]) + pack({"CC": True, "LTime": 7, "Name": "deploy", "Payload": b"v1", "Zebra": 1})
    peer.send(data, subject.port)
    check(other.wait_for(USER, SERF_EVENT, where=lambda h: h.data == data), "the event was not told on to the byte")
    old = event(1, "stale", b"x")
    peer.send(event(700, "newer"), subject.port)
    subject.settled(peer)
    mark = other.mark()
    peer.send(old, subject.port)
    subject.settled(peer)
    check(not other.all(USER, SERF_EVENT, where=lambda h: h.data == old, since=mark),
          "an event from more than 512 ago was told on")


@on_every_member()
def test_a_list_of_512_events_and_one_of_a_single_event_both_merge(subject):
    peer = subject.peer("peer")
    for number, events in ((1, [None] * 30 + [True] + [None] * 481), (2, [True])):
        entry = {"Events": [{"Name": f"e{number}", "Payload": b"p"}, {"Name": "nil", "Payload": None}],
                 "LTime": 30 * number}
        events = [entry if e else None for e in events]
        peer.exchange(subject.port, serf={"Events": events, "EventLTime": 30 * number + 1}, join=False)
        wait_until(lambda n=number: subject.state(peer).serf["EventLTime"] == 30 * n + 1, 5, "the clock of the events")
        known = [e for e in subject.state(peer).serf["Events"] or [] if e and e["LTime"] == 30 * number]
        check(known and {e["Name"] for e in known[0]["Events"]} == {f"e{number}".encode(), b"nil"},
              f"the events of time {30 * number} are {known}")


# --- queries
# -----------------------------------------------------------------------------------------------------------


@on_every_member()
def test_a_query_for_others_is_told_on_as_it_came_and_not_acked(subject):
    peer, other = subject.peer("peer"), subject.peer("other")
    nobody = [b"\x00" + pack(["nobody"])]
    number, data = ping_query(peer, Filters=nobody, LTime=20)
    data += b"\x00"  # A byte behind it: only who repeats the bytes repeats it too.
    peer.send(data, subject.port)
    check(other.wait_for(USER, SERF_QUERY, where=lambda h: h.data == data), "the query was not told on to the byte")
    quiet, data = ping_query(peer, Filters=nobody, LTime=21, Flags=ACK_WANTED | NO_BROADCAST)
    peer.send(data, subject.port)
    last, marker = ping_query(peer, LTime=22)
    peer.send(marker, subject.port)
    check(other.wait_for(USER, SERF_QUERY, where=lambda h: h.body["ID"] == last), "the last query was not told on")
    wait_until(lambda: last in peer.acked, 5, "the ack of the query for all")
    check(not other.all(USER, SERF_QUERY, where=lambda h: h.body["ID"] == quiet), "the flag against it was ignored")
    check(not peer.acked & {number, quiet}, "a query for somebody else was acked")


@on_every_member()
def test_a_query_is_answered_at_the_address_that_it_names_and_once(subject):
    peer, desk = subject.peer("peer"), subject.peer("desk", join=False)
    number, data = ping_query(peer, Port=desk.port, LTime=30)
    for _ in range(3):
        peer.send(data, subject.port)
    ack = desk.wait_for(USER, SERF_RESPONSE)
    check(ack and (ack.body["ID"], ack.body["LTime"], ack.body["Flags"], ack.body["From"])
          == (number, 30, 1, subject.name.encode()), f"the ack is {ack and ack.body}")
    last, data = ping_query(peer, Port=desk.port, LTime=31)
    peer.send(data, subject.port)
    wait_until(lambda: last in desk.acked, 5, "the next query's ack")
    check(len(desk.all(USER, SERF_RESPONSE)) == 2, f"{len(desk.all(USER, SERF_RESPONSE))} answers to two queries")
    check(not peer.all(USER, SERF_RESPONSE), "the sender of the datagram was answered")


@on_every_member(tags={"zone": "eu-west", "empty": ""})
def test_filters_are_searched_for_as_re2_does_it(subject):
    peer = subject.peer("peer")

    def tag(name, expression):
        return b"\x01" + pack({"Tag": name, "Expr": expression})

    def nodes(*names):
        return b"\x00" + pack(list(names))
    cases = [([], True), ([tag("role", "side")], True), ([tag("role", "^side$")], False),
             ([tag("role", "a|sidecar|b")], True), ([tag("role", "(?i)SIDE")], True),
             ([tag("role", "(unclosed")], False),
             ([tag("missing", "^$")], True), ([tag("missing", ".*")], True), ([tag("missing", ".+")], False),
             ([tag("empty", "^$")], True), ([tag("zone", r"\bwest\b"), tag("role", "car$")], True),
             ([tag("zone", "west"), tag("role", "task")], False), ([nodes(subject.name)], True),
             ([nodes("a", subject.name, "b")], True), ([nodes("a")], False), ([nodes()], False),
             ([nodes(subject.name), tag("zone", "^us")], False), ([b"\x07" + pack(["x"])], False),
             ([tag("zone", "e.-[a-w]+$")], True), ([tag("zone", r"(\w)\1")], False)]
    for filters, wanted in cases:
        what = f"{filters} {'did not match' if wanted else 'matched'}"
        check(is_acked(subject, peer, Filters=filters) == wanted, what)


@on_every_member()
def test_an_answer_that_is_to_be_relayed_is_unpacked_and_sent_on(subject):
    peer, far, stranger = (subject.peer(n, join=n != "stranger") for n in ("peer", "far", "stranger"))
    inner = bytes([SERF_RESPONSE]) + pack({"Flags": 0, "From": "peer", "ID": 77, "LTime": 5, "Payload": b"ok",
                                           "Zebra": 1})

    def relay(to, signed=False):
        header = pack({"DestAddr": {"IP": to.address, "Port": to.port, "Zone": ""}, "DestName": to.name})
        # memberlist 0.5 packs a port as a signed number of 16 bits, 0.2 as an unsigned one.
        header = header.replace(b"\xa4Port\xcd", b"\xa4Port\xd1") if signed else header
        return bytes([USER, SERF_RELAY]) + header + inner
    peer.send(relay(stranger), subject.port)
    for number, signed in enumerate((False, True), 1):
        peer.send(relay(far, signed), subject.port)
        wait_until(lambda n=number: len(far.all(USER, SERF_RESPONSE)) >= n, 5, "the relayed answer")
    check(all(h.data == bytes([USER]) + inner for h in far.all(USER, SERF_RESPONSE)), "it is not the same to the byte")
    # An agent sends it wherever the header says. shoal sends to members alone: it is nobody's amplifier.
    if subject.is_agent:
        wait_until(lambda: len(stranger.heard) == 1, 5, "the answer to no member")
    check(len(stranger.heard) == (1 if subject.is_agent else 0), f"{len(stranger.heard)} answers to no member")


@on_every_member()
def test_an_answer_with_a_relay_factor_takes_that_many_ways_more(subject):
    peer, others = subject.peer("peer"), [subject.peer(f"other-{i}") for i in range(4)]
    number, data = ping_query(peer, RelayFactor=2, LTime=subject.state(peer).serf["QueryLTime"])
    peer.send(data, subject.port)
    wait_until(lambda: number in peer.acked, 5, "the straight ack")

    def relays():
        return [h for p in (peer, *others) for h in p.all(USER, SERF_RELAY)]
    wait_until(lambda: len(relays()) >= 2, 5, "two relays")
    hold_true(lambda: len(relays()) == 2, 0.5, "two relays and no third")
    for heard in relays():
        header, at = unpack(heard.data, 2)
        address = header["DestAddr"]
        check((socket.inet_ntoa(address["IP"][-4:]), address["Port"], header["DestName"])
              == ("127.0.0.1", peer.port, b"peer"), f"the header says {header}")
        check(heard.data[at] == SERF_RESPONSE, "there is no answer behind the header")
        inner = unpack(heard.data, at + 1)[0]
        check((inner["ID"], inner["Flags"], inner["From"]) == (number, 1, subject.name.encode()), f"inside: {inner}")


@on_every_member(agents_may_say="Error decoding|forwarding message to :0")
def test_a_query_that_is_malformed_is_nobodys_end(subject):
    """Each of these is counted and dropped. An empty filter stops a stock agent, so it is spared that one."""
    peer = subject.peer("peer")
    bad = [[b"\x01"], [b"\x00\xc1"], [b"\x01" + b"\xdf\xff\xff\xff\xff"]] + ([] if subject.is_agent else [[b""]])
    for filters in bad:
        check(not is_acked(subject, peer, Filters=filters), f"the filters {filters} matched")
    for tail in (b"", b"\xc0", b"\x90", b"\xdf\xff\xff\xff\xff", b"\x81\xa4Name"):
        for kind in range(12):
            peer.send(bytes([USER, kind]) + tail, subject.port)
    check(is_acked(subject, peer), "a good query after the bad ones was not acked")
