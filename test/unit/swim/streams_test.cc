// Exchanges over TCP, with the test as the peer.
#include <doctest/doctest.h>

#include "support/lone_core.h"
#include "swim/core.h"

namespace shoal::swim {
namespace {

using test::encoded;
using test::Lines;
using test::LoneCore;
using test::Memory;
using test::only;
using test::peer;
using test::StateEntry;
using test::stream_lines;

StreamId push_pull_to(LoneCore& me, const Endpoint& to, bool join = true) {
  const std::size_t before = me.streams.size();
  me.command([&](Outbox& out) { me.core.push_pull(me.now, to, join, out); });
  return me.streams.size() > before ? me.streams.rbegin()->first : 0;
}

// ---- Push/pull

TEST_CASE("the acceptor answers with its state as it was before it merges, and finishes") {
  LoneCore me;
  me.know("b", 2);
  me.own_state = test::from_hex("0281");
  const StreamId id = me.accept();
  me.stream_in(id, test::push_pull({{"c", peer(3), 0, 4}}, true, as_bytes("their state")));
  Lines answer = stream_lines(me.streams[id].written);
  CHECK(answer[0] == "push-pull sync nodes 2 state 2");
  CHECK(only(answer, "node me") == Lines{"node me 0 1 10.0.0.1:7946"});
  CHECK(only(answer, "node b") == Lines{"node b 0 1 10.0.0.2:7946"});
  CHECK(only(answer, "node c").empty());
  CHECK(me.streams[id].said == Lines{"write", "finish"});
  CHECK(me.state("c") == "alive");
  CHECK(me.incarnation("c") == 4);
  CHECK(me.news == Lines{"join c", "state " + test::to_hex(as_bytes("their state"))});
  CHECK(me.core.counters().push_pulls_in == 1);
}

TEST_CASE("every record is in a push/pull, whatever its state") {
  LoneCore me;
  for (const std::uint8_t host : std::initializer_list<std::uint8_t>{2, 3, 4})
    me.know(std::string(1, static_cast<char>('a' + host - 1)), host, 5);
  me.hear(test::suspect(5, "b", "x"));
  me.hear(test::dead(5, "c", "x"));
  me.hear(test::dead(5, "d", "d"));
  const Lines answer = me.exchange(test::push_pull({}));
  CHECK(only(answer, "node b") == Lines{"node b 1 5 10.0.0.2:7946"});
  CHECK(only(answer, "node c") == Lines{"node c 2 5 10.0.0.3:7946"});
  CHECK(only(answer, "node d") == Lines{"node d 3 5 10.0.0.4:7946"});
}

TEST_CASE("hearsay of a death is a suspicion of our own, of a departure a departure, of other states nothing") {
  struct {
    std::uint8_t state;
    const char *becomes, *told;
  } const rows[] = {
      {0, "alive", ""},
      {1, "suspect", "suspect 5 b from me"},
      {2, "suspect", "suspect 5 b from me"},
      {3, "left", "dead 5 b from b"},
      {4, "alive", ""},
      {200, "alive", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(int{row.state});
    LoneCore me;
    me.know("b", 2, 5);
    me.exchange(test::push_pull({{"b", peer(2), row.state, 5}}, false));
    CHECK(me.state("b") == row.becomes);
    CHECK(me.ask() == (*row.told == '\0' ? Lines{} : Lines{row.told}));
  }
}

TEST_CASE("an entry that calls us dead, left or suspect is refuted above its incarnation: we have come back") {
  for (const std::uint8_t state : std::initializer_list<std::uint8_t>{1, 2, 3}) {
    CAPTURE(int{state});
    LoneCore me;
    me.quiet();
    const StreamId id = push_pull_to(me, peer(2));
    me.connected(id);
    me.stream_in(id, test::push_pull({{"me", peer(1), state, 9}, {"b", peer(2), 0, 3}}, false));
    CHECK(me.state("me") == "alive");
    CHECK(me.incarnation("me") == 10);
    CHECK(only(me.ask(), "alive 10 me") == Lines{"alive 10 me 10.0.0.1:7946"});
  }
}

TEST_CASE("dead and left entries about strangers make no record") {
  LoneCore me;
  me.exchange(test::push_pull({{"x", peer(7), 2, 5}, {"y", peer(8), 3, 5}, {"z", peer(9), 1, 5}}));
  CHECK(me.core.members().size() == 1);
}

TEST_CASE("an entry with bad versions is skipped and counted, and the others are merged") {
  LoneCore me;
  me.know("d", 4);
  me.exchange(test::push_pull({{"b", peer(2), 0, 1, Memory(6, 0)},
                               {"c", peer(3), 0, 1, {}},
                               {"d", peer(4), 3, 1, {1, 5}},
                               {"e", peer(5), 0, 1}}));
  CHECK(me.state("b") == "unknown");
  CHECK(me.state("c") == "unknown");
  CHECK(me.state("d") == "alive");
  CHECK(me.state("e") == "alive");
  CHECK(me.refused(Refusal::kBadVersions) == 3);
}

TEST_CASE("five version numbers are too few, whatever byte follows them and whatever the entry says") {
  LoneCore me;
  me.know("b", 2);
  const Memory state = test::from_hex("0580");
  me.exchange(test::push_pull({{"b", peer(2), 3, 1, {1, 5, 2, 2, 5}}}, false, state));
  CHECK(me.state("b") == "alive");
  CHECK(me.refused(Refusal::kBadVersions) == 1);
}

TEST_CASE("a joiner says so, merges the answer, closes and tells how it went") {
  LoneCore me;
  me.quiet();
  const StreamId id = push_pull_to(me, peer(2), true);
  REQUIRE(id != 0);
  CHECK(me.streams[id].to == peer(2));
  CHECK(me.streams[id].said == Lines{"connect"});
  me.connected(id);
  CHECK(stream_lines(me.streams[id].written)[0] == "push-pull join nodes 1 state 0");
  me.stream_in(id, test::push_pull({{"b", peer(2), 0, 3}}, false, as_bytes("s")));
  CHECK(me.streams[id].said == Lines{"connect", "write", "close"});
  CHECK(me.news == Lines{"join b", "state-join 73", "joined 10.0.0.2:7946"});
  CHECK(me.core.counters().push_pulls_out == 1);
}

TEST_CASE("anti-entropy runs by itself with one living member, not as a joiner") {
  LoneCore me;
  me.know("b", 2);
  me.know("gone", 3);
  me.hear(test::dead(1, "gone", "gone"));
  bool seen = false;
  for (int i = 0; i < 100 && !seen; ++i) {
    me.run_for(1s);
    me.hear(test::alive({static_cast<std::uint32_t>(i + 2), "b", peer(2)}));  // It refutes what our probes say.
    for (auto& [id, trace] : me.streams) {
      if (trace.said != Lines{"connect"} || seen) continue;
      me.connected(id);
      const Lines said = stream_lines(trace.written);
      if (!said[0].starts_with("push-pull")) continue;
      CHECK(said[0].starts_with("push-pull sync"));
      CHECK(trace.to == peer(2));
      seen = true;
    }
  }
  CHECK(seen);
  CHECK(me.now <= Instant{} + 61s);  // Within two intervals.
}

TEST_CASE("a state that trickles in byte by byte is merged once it is whole") {
  LoneCore me;
  std::vector<StateEntry> entries;
  for (std::uint8_t host = 2; host < 40; ++host) entries.push_back({"node-" + std::to_string(host), peer(host)});
  const Memory bytes = test::push_pull(entries);
  const StreamId id = me.accept();
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) me.stream_in(id, Bytes(bytes).subspan(i, 1));
  CHECK(me.core.members().size() == 1);
  CHECK(me.streams[id].said.empty());
  me.stream_in(id, Bytes(bytes).last(1));
  CHECK(me.core.members().size() == 39);
}

TEST_CASE("an error answered to our push/pull is told in its words") {
  LoneCore me;
  me.quiet();
  const StreamId id = push_pull_to(me, peer(2));
  me.connected(id);
  me.stream_in(id, encoded(wire::Err{"node is full"}));
  CHECK(me.streams[id].said.back() == "close");
  CHECK(me.news == Lines{"not-joined 10.0.0.2:7946 node is full"});
}

TEST_CASE(
    "a refused connection, a cut answer, another answer and silence each fail the join once, in their own words") {
  LoneCore me;
  me.quiet();
  me.stream_closed(push_pull_to(me, peer(2)));
  CHECK(me.news == Lines{"not-joined 10.0.0.2:7946 no answer: connection refused or closed"});
  me.news.clear();

  StreamId id = push_pull_to(me, peer(2));
  me.connected(id);
  me.stream_in(id, Bytes(test::from_hex("0683")));
  me.stream_closed(id);
  CHECK(me.news == Lines{"not-joined 10.0.0.2:7946 the answer was cut short"});
  me.news.clear();

  id = push_pull_to(me, peer(2));
  me.connected(id);
  me.stream_in(id, encoded(wire::Ack{1, {}}));
  CHECK(me.streams[id].said.back() == "close");
  me.stream_closed(id);  // An id that is over is ignored.
  REQUIRE(me.news.size() == 1);
  me.news.clear();

  id = push_pull_to(me, peer(2));
  me.run_for(9999ms);
  CHECK(me.news.empty());
  me.run_for(2ms);
  CHECK(me.news == Lines{"not-joined 10.0.0.2:7946 timed out"});
  CHECK(me.streams[id].said.back() == "close");
  CHECK(me.refused(Refusal::kStreamTimeout) == 1);
}

// ---- Ping and user messages

TEST_CASE("a ping over TCP is answered on the stream, for our name or none; for another name it is closed unanswered") {
  LoneCore me;
  CHECK(me.exchange(encoded(wire::Ping{5, "me"})) == Lines{"ack 5"});
  CHECK(me.exchange(encoded(wire::Ping{6, ""})) == Lines{"ack 6"});
  const StreamId id = me.accept();
  me.stream_in(id, encoded(wire::Ping{7, "another"}));
  CHECK(me.streams[id].said == Lines{"close"});
  CHECK(me.refused(Refusal::kWrongNode) == 1);
}

TEST_CASE("a user message over TCP comes through whole, however it is cut, and the stream is closed") {
  LoneCore me;
  me.quiet();
  const Memory header = encoded(wire::UserHeader{5});
  const Memory bytes = test::joined({header, as_bytes("hello")});
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    me.news.clear();
    const StreamId id = me.accept();
    me.stream_in(id, Bytes(bytes).first(cut));
    CHECK(me.news.empty());
    me.stream_in(id, Bytes(bytes).subspan(cut));
    CHECK(me.news == Lines{"user-by-stream " + test::to_hex(as_bytes("hello"))});
    CHECK(me.streams[id].said == Lines{"close"});
  }
}

TEST_CASE("our user message over TCP goes out once connected, and the stream is finished") {
  LoneCore me;
  me.quiet();
  bool sent = false;
  me.command([&](Outbox& out) { sent = me.core.send_user_by_stream(me.now, peer(2), as_bytes("hello"), out); });
  CHECK(sent);
  const StreamId id = me.streams.rbegin()->first;
  CHECK(me.streams[id].to == peer(2));
  me.connected(id);
  CHECK(stream_lines(me.streams[id].written) == Lines{"user " + test::to_hex(as_bytes("hello"))});
  CHECK(me.streams[id].said == Lines{"connect", "write", "finish"});
  me.stream_closed(id);
  CHECK(me.news.empty());
}

TEST_CASE("with compression on every stream is compressed, and read by the other side") {
  Options options = LoneCore::options();
  options.compress = true;
  LoneCore me(options);
  me.know("b", 2);
  const StreamId id = me.accept();
  me.stream_in(id, test::push_pull({}));
  CHECK(me.streams[id].written[0] == 9);
  CHECK(only(stream_lines(me.streams[id].written), "node").size() == 2);
  LoneCore other;
  const StreamId theirs = other.accept();
  other.stream_in(theirs, me.streams[id].written);
  CHECK(other.state("b") == "alive");
}

// ---- Limits

TEST_CASE("the seventeenth stream at once is refused and counted; one that ends makes room") {
  LoneCore me;
  std::vector<StreamId> open;
  for (int i = 0; i < 16; ++i) {
    open.push_back(me.accept());
    CHECK(open.back() != 0);
  }
  CHECK(me.accept() == 0);
  CHECK(me.refused(Refusal::kTooManyStreams) == 1);
  me.stream_closed(open[3]);
  CHECK(me.accept() != 0);
  CHECK(me.accept() == 0);
}

TEST_CASE("a storm of incoming streams does not keep us from joining, nor our joins anybody else's message") {
  LoneCore me;
  while (me.accept() != 0) {
  }
  // Of eight own streams three are kept for what is no push/pull.
  for (std::uint8_t i = 0; i < 5; ++i) CHECK(push_pull_to(me, peer(static_cast<std::uint8_t>(10 + i))) != 0);
  me.news.clear();
  CHECK(push_pull_to(me, peer(30)) == 0);
  REQUIRE(me.news.size() == 1);
  CHECK(me.news[0].starts_with("not-joined 10.0.0.30:7946 too many"));
  for (int i = 0; i < 4; ++i) {
    bool sent = false;
    me.command([&](Outbox& out) { sent = me.core.send_user_by_stream(me.now, peer(2), as_bytes("x"), out); });
    CHECK(sent == (i < 3));
  }
  LoneCore busy;
  for (std::uint8_t i = 0; i < 8; ++i) push_pull_to(busy, peer(static_cast<std::uint8_t>(10 + i)));
  CHECK(busy.accept() != 0);
}

TEST_CASE(
    "who holds a place and says nothing gives it to the next, the one silent longest first; who speaks keeps it") {
  LoneCore me;
  me.know("b", 2);
  const Memory whole = test::push_pull({{"b", peer(2)}});
  const std::size_t places = LoneCore::options().inbound_streams_max;
  std::vector<StreamId> held;
  for (std::size_t i = 0; i < places; ++i) {
    held.push_back(me.accept());
    me.run_for(1ms);
  }
  me.run_for(900ms);
  CHECK(me.accept() == 0);  // They may be about to.
  me.stream_in(held[0], Bytes(whole).first(5));
  me.run_for(200ms);
  const StreamId next = me.accept();
  REQUIRE(next != 0);
  CHECK(me.streams[held[1]].said.back() == "close");
  me.stream_in(next, whole);  // Is answered, and keeps its place until the peer has closed.
  CHECK(me.streams[next].said.back() == "finish");
  CHECK(me.refused(Refusal::kStreamTimeout) == 1);
  me.run_for(2s);
  for (std::size_t i = 2; i < places; ++i) {
    REQUIRE(me.accept() != 0);
    CHECK(me.streams[held[i]].said.back() == "close");
  }
  CHECK(me.accept() != 0);
  CHECK(me.streams[held[0]].said.back() == "close");
  CHECK(me.accept() == 0);
  CHECK(me.streams[next].said.back() == "finish");
}

TEST_CASE("a stream that says nothing for 10 s is closed and counted, and its room is free again") {
  LoneCore me;
  std::vector<StreamId> open;
  for (int i = 0; i < 16; ++i) open.push_back(me.accept());
  me.run_for(9999ms);
  CHECK(me.refused(Refusal::kStreamTimeout) == 0);
  me.run_for(2ms);
  for (const StreamId id : open) CHECK(me.streams[id].said == Lines{"close"});
  CHECK(me.refused(Refusal::kStreamTimeout) == 16);
  CHECK(me.accept() != 0);
}

TEST_CASE("an acceptor whose peer never closes gives up 10 s after its answer") {
  LoneCore me;
  const StreamId id = me.accept();
  me.run_for(9s);
  me.stream_in(id, test::push_pull({}));
  CHECK(me.streams[id].said == Lines{"write", "finish"});
  me.run_for(9s);
  CHECK(me.streams[id].said.back() == "finish");
  me.run_for(2s);
  CHECK(me.streams[id].said.back() == "close");
}

TEST_CASE("garbage, answers nobody asked for, and types that have no place on a stream are closed and counted") {
  const Memory bad[] = {test::from_hex("ff"),       test::from_hex("0481a1"), test::from_hex("07020001000100"),
                        test::from_hex("00c1"),     test::from_hex("06c1"),   test::from_hex("0983"),
                        encoded(wire::Ack{1, {}}),  encoded(wire::Err{"no"}), encoded(wire::Nack{1}),
                        test::suspect(1, "me", "x")};
  LoneCore me;
  std::uint64_t refused = 0;
  for (const Memory& bytes : bad) {
    CAPTURE(test::to_hex(bytes));
    const StreamId id = me.accept();
    me.stream_in(id, bytes);
    if (bytes[0] == 9) me.stream_in(id, Memory(64, 0xc1));
    ++refused;
    CHECK(me.streams[id].said == Lines{"close"});
    CHECK(me.refused(Refusal::kBadStream) == refused);
  }
  CHECK(me.core.members().size() == 1);
  CHECK(me.incarnation("me") == 1);
}

TEST_CASE("a push/pull that claims more than there may be is closed") {
  LoneCore me;
  const StreamId many = me.accept();
  me.stream_in(many, encoded(wire::PushPullHeader{true, wire::kPushPullNodesMax, 0}));
  me.stream_in(many, Memory(stream_bytes_max(64) + 1, 0xc0));
  CHECK(me.streams[many].said == Lines{"close"});
  const StreamId large = me.accept();
  me.stream_in(large, encoded(wire::PushPullHeader{true, 0, wire::kUserBytesMax}));
  for (int i = 0; i < 12 && me.streams[large].said.empty(); ++i) me.stream_in(large, Memory(40'000, 0));
  CHECK(me.streams[large].said == Lines{"close"});
  CHECK(me.refused(Refusal::kBadStream) == 2);
}

TEST_CASE("whoever encrypts is told that we do not") {
  LoneCore me;
  me.quiet();
  const StreamId id = me.accept();
  me.stream_in(id, test::from_hex("0a00000020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
  CHECK(me.streams[id].said == Lines{"write", "finish"});
  CHECK(stream_lines(me.streams[id].written) ==
        Lines{"err remote state is encrypted and encryption is not configured"});
  CHECK(me.refused(Refusal::kEncrypted) == 1);
  CHECK(me.news == Lines{"foreign 10.0.0.99:40000 encrypted"});
  const StreamId own = push_pull_to(me, peer(2));
  me.connected(own);
  me.news.clear();
  me.stream_in(own, test::from_hex("0a00000020"));
  CHECK(me.streams[own].said.back() == "close");
  CHECK(me.news == Lines{"not-joined 10.0.0.2:7946 the peer encrypts its gossip; this node has no key",
                         "foreign 10.0.0.2:7946 encrypted"});
}

TEST_CASE("input for streams that nobody knows is ignored") {
  LoneCore me;
  me.connected(99);
  me.stream_in(99, as_bytes("x"));
  me.stream_closed(99);
  const StreamId id = me.accept();
  me.stream_in(id, encoded(wire::Ping{5, "me"}));
  const Memory before = me.streams[id].written;
  me.stream_in(id, encoded(wire::Ping{6, "me"}));  // It has had its answer.
  CHECK(me.streams[id].written == before);
}

}  // namespace
}  // namespace shoal::swim
