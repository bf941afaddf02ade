// One probe cycle from all sides: the prober, the probed, and the helper in between.
#include <doctest/doctest.h>

#include <algorithm>

#include "support/lone_core.h"
#include "swim/core.h"

namespace shoal::swim {
namespace {

using test::encoded;
using test::Lines;
using test::LoneCore;
using test::Memory;
using test::number;
using test::only;
using test::peer;
using test::SentPacket;
using test::word;

// ---- Being probed

TEST_CASE("a ping is answered to its sender, and to its source where it names one") {
  LoneCore me;
  me.quiet();
  me.hear(encoded(wire::Ping{5, "me"}), peer(9, 1234));
  REQUIRE(me.sent.size() == 1);
  CHECK(me.sent[0].parts == Lines{"ack 5"});
  CHECK(me.sent[0].to == peer(9, 1234));
  CHECK_FALSE(test::has_crc(me.sent[0].bytes));
  const Endpoint source = peer(7, 999);
  me.hear(encoded(wire::Ping{6, "me", source.addr.raw(), source.port, "x"}), peer(9, 1234));
  CHECK(me.sent[1].parts == Lines{"ack 6"});
  CHECK(me.sent[1].to == source);
  me.hear(encoded(wire::Ping{7, "me", source.addr.raw(), 0, "x"}), peer(9, 1234));  // Half a source is none.
  CHECK(me.sent[2].to == peer(9, 1234));
}

TEST_CASE("a ping without a name is answered, one for another name is not and is told to the layer above") {
  LoneCore me;
  me.quiet();
  me.hear(encoded(wire::Ping{5, ""}), peer(9));
  CHECK(me.sent.back().parts == Lines{"ack 5"});
  me.sent.clear();
  me.hear(encoded(wire::Ping{6, "who-was-here-before"}), peer(9));
  CHECK(me.sent.empty());
  CHECK(me.refused(Refusal::kWrongNode) == 1);
  CHECK(me.news == Lines{"stranger 10.0.0.9:7946"});
}

TEST_CASE("an answer to a ping carries what is to be told") {
  LoneCore me;
  me.know("b", 2);
  me.hear(test::suspect(1, "b", "x"));
  CHECK(me.ask() == Lines{"suspect 1 b from x"});
}

// ---- Probing

/// "me" among b, c, d, e (10.0.0.2 to .5) with its first probe just sent; nobody answers unless told to.
struct Probing {
  explicit Probing(const Options& options = LoneCore::options(), std::uint64_t seed = 1, std::size_t peers = 4)
      : me(options, seed) {
    for (std::size_t i = 0; i < peers; ++i) {
      me.know(std::string(1, static_cast<char>('b' + i)), static_cast<std::uint8_t>(2 + i));
    }
    ping = me.run_until_sent("ping");
    read();
  }
  void next() {
    ping = me.run_until_sent("ping");
    read();
  }
  void read() {
    const std::string line = only(ping.parts, "ping")[0];
    seq_no = number(line, 1);
    target = word(line, 2);
  }
  void ack(std::uint32_t seq) { me.hear(encoded(wire::Ack{seq, {}})); }
  void nack(std::uint32_t seq) { me.hear(encoded(wire::Nack{seq})); }
  /// Streams that were opened to `target`'s address.
  [[nodiscard]] std::vector<StreamId> pings_by_stream() const {
    std::vector<StreamId> out;
    for (const auto& [id, trace] : me.streams) {
      if (!trace.said.empty() && trace.said[0] == "connect" && trace.to == ping.to) out.push_back(id);
    }
    return out;
  }
  LoneCore me;
  SentPacket ping;
  std::uint32_t seq_no = 0;
  std::string target;
};

Lines of_kind(const std::vector<SentPacket>& sent, std::string_view kind) {
  Lines out;
  for (const SentPacket& packet : sent) {
    for (const std::string& line : only(packet.parts, kind)) {
      out.push_back(line + " -> " + std::string(to_text(packet.to).view()));
    }
  }
  return out;
}

TEST_CASE("a probe pings a living member at its address, with our own as the source, and without CRC") {
  Probing p;
  const std::uint8_t host = static_cast<std::uint8_t>(p.target[0] - 'b' + 2);
  CHECK(p.ping.to == peer(host));
  CHECK(p.ping.parts[0] == "ping " + std::to_string(p.seq_no) + " " + p.target + " to-answer 10.0.0.1:7946");
  CHECK_FALSE(test::has_crc(p.ping.bytes));
}

TEST_CASE("an ack ends the probe: no helper is asked and nobody is suspected") {
  Probing p;
  p.me.run_for(100ms);
  p.ack(p.seq_no);
  p.me.sent.clear();
  p.me.run_for(950ms);
  CHECK(of_kind(p.me.sent, "indirect").empty());
  CHECK(p.pings_by_stream().empty());
  CHECK(p.me.state(p.target) == "alive");
  CHECK(p.me.core.counters().probes_failed == 0);
}

TEST_CASE("an ack with another number is nothing") {
  Probing p;
  p.ack(p.seq_no + 1);
  p.ack(p.seq_no - 1);
  p.me.run_for(2s);
  CHECK(p.me.state(p.target) == "suspect");
}

TEST_CASE("without an ack in 500 ms three others are asked, with a nack, and TCP is tried with the same number") {
  Probing p;
  p.me.sent.clear();
  p.me.run_for(499ms);
  CHECK(of_kind(p.me.sent, "indirect").empty());
  p.me.run_for(2ms);
  Lines asked = of_kind(p.me.sent, "indirect");
  REQUIRE(asked.size() == 3);
  std::sort(asked.begin(), asked.end());
  CHECK(std::unique(asked.begin(), asked.end()) == asked.end());
  for (const std::string& line : asked) {
    CAPTURE(line);
    const std::string at = std::string(to_text(p.ping.to).view());
    CHECK(line.starts_with("indirect " + std::to_string(p.seq_no) + " " + p.target + " at " + at +
                           " nack to-answer 10.0.0.1:7946 -> 10.0.0."));
    CHECK_FALSE(line.ends_with("-> " + at));          // Not the target itself,
    CHECK_FALSE(line.ends_with("-> 10.0.0.1:7946"));  // nor we.
  }
  const auto streams = p.pings_by_stream();
  REQUIRE(streams.size() == 1);
  p.me.connected(streams[0]);
  CHECK(test::stream_lines(p.me.streams[streams[0]].written) ==
        Lines{"ping " + std::to_string(p.seq_no) + " " + p.target + " to-answer 10.0.0.1:7946"});
}

TEST_CASE("an ack by way of a helper, up to the end of the interval, saves the target") {
  Probing p;
  p.me.run_for(999ms);
  p.ack(p.seq_no);
  p.me.run_for(500ms);
  CHECK(p.me.state(p.target) == "alive");
  CHECK(p.me.core.counters().probes_failed == 0);
}

TEST_CASE("an ack after the interval is too late") {
  Probing p;
  p.me.run_for(1001ms);
  CHECK(p.me.state(p.target) == "suspect");
  p.ack(p.seq_no);
  CHECK(p.me.state(p.target) == "suspect");
}

TEST_CASE("a TCP ack alone keeps the target alive and our health good") {
  Probing p;
  p.me.run_for(501ms);
  const StreamId stream = p.pings_by_stream().at(0);
  p.me.connected(stream);
  p.me.stream_in(stream, encoded(wire::Ack{p.seq_no, {}}));
  CHECK(p.me.streams[stream].said.back() == "close");
  p.me.run_for(600ms);
  CHECK(p.me.state(p.target) == "alive");
  CHECK(p.me.core.health_score() == 0);
}

TEST_CASE("a TCP ack with another number does not help, nor does one that comes too late") {
  Probing p;
  p.me.run_for(501ms);
  const StreamId stream = p.pings_by_stream().at(0);
  p.me.connected(stream);
  p.me.stream_in(stream, encoded(wire::Ack{p.seq_no + 1, {}}));
  p.me.run_for(600ms);
  CHECK(p.me.state(p.target) == "suspect");
  Probing late;
  late.me.run_for(501ms);
  const StreamId second = late.pings_by_stream().at(0);
  late.me.connected(second);
  late.me.run_for(600ms);
  CHECK(late.me.streams[second].said.back() == "close");
  late.me.stream_in(second, encoded(wire::Ack{late.seq_no, {}}));
  CHECK(late.me.state(late.target) == "suspect");
}

TEST_CASE("when nobody answers, the target is suspected at its incarnation and this is told") {
  Probing p;
  p.me.run_for(1001ms);
  CHECK(p.me.state(p.target) == "suspect");
  CHECK(p.me.incarnation(p.target) == 1);
  CHECK(only(p.me.ask(), "suspect") == Lines{"suspect 1 " + p.target + " from me"});
  CHECK(p.me.core.counters().probes_failed == 1);
}

TEST_CASE("each nack that was to come and did not costs a point of health; all nacks, nothing") {
  for (std::uint32_t nacks = 0; nacks <= 5; ++nacks) {
    CAPTURE(nacks);
    Probing p;
    p.me.run_for(900ms);
    for (std::uint32_t i = 0; i < nacks; ++i) p.nack(p.seq_no);
    p.nack(p.seq_no + 1);  // Somebody else's.
    p.me.run_for(101ms);
    CHECK(p.me.state(p.target) == "suspect");
    CHECK(p.me.core.health_score() == (nacks >= 3 ? 0 : 3 - nacks));
  }
}

TEST_CASE("what one probe heard does not count for the next") {
  Probing p;
  for (int round = 0; round < 3; ++round) {
    p.me.run_for(501ms);
    const std::size_t asked = of_kind(p.me.sent, "indirect " + std::to_string(p.seq_no)).size();
    CHECK(asked > 0);
    for (std::size_t i = 0; i < asked; ++i) p.nack(p.seq_no);
    p.me.run_for(498ms);
    CHECK(p.me.core.counters().probes_failed == static_cast<std::uint64_t>(round));
    p.next();
    CHECK(p.me.core.counters().probes_failed == static_cast<std::uint64_t>(round) + 1);
    CHECK(p.me.core.health_score() == 0);
  }
}

TEST_CASE("only those who are alive are asked to help") {
  Probing p(LoneCore::options(), 1, 8);
  for (const std::string name : {"b", "c", "d", "e"}) {
    if (name != p.target) p.me.hear(test::suspect(1, name, "x"));
  }
  for (const std::string name : {"f", "g"}) {
    if (name != p.target) p.me.hear(test::dead(1, name, name == "f" ? "x" : "g"));
  }
  p.me.run_for(501ms);
  const Lines asked = of_kind(p.me.sent, "indirect");
  REQUIRE_FALSE(asked.empty());
  for (const std::string& line : asked) {
    const bool alive = line.ends_with("10.0.0.8:7946") || line.ends_with("10.0.0.9:7946");
    CHECK(alive);
  }
}

TEST_CASE("with nobody to ask a failed probe costs one point") {
  Probing p(LoneCore::options(), 1, 1);
  p.me.run_for(1001ms);
  CHECK(p.me.state("b") == "suspect");
  CHECK(p.me.core.health_score() == 1);
}

TEST_CASE("helpers that cannot nack are asked without, and not waited for") {
  LoneCore me;
  for (const std::uint8_t host : std::initializer_list<std::uint8_t>{2, 3, 4}) {
    me.hear(test::alive({1, std::string(1, static_cast<char>('a' + host - 1)), peer(host), "", {1, 3, 2, 2, 5, 5}}));
  }
  me.quiet();
  me.run_until_sent("ping");
  me.sent.clear();
  me.run_for(501ms);
  const Lines asked = of_kind(me.sent, "indirect");
  REQUIRE(asked.size() == 2);
  for (const std::string& line : asked) CHECK(line.find("nack") == std::string::npos);
  me.run_for(501ms);
  CHECK(me.core.health_score() == 1);
}

TEST_CASE("a poor health makes the probe wait longer for the late, and a good probe heals by one") {
  Probing p;
  p.ack(p.seq_no);
  for (std::uint32_t i = 1; i <= 3; ++i) p.me.hear(test::suspect(i, "me", "x"));  // Three refutes.
  REQUIRE(p.me.core.health_score() == 3);
  p.next();
  const Instant sent = p.me.now;
  p.me.run_for(3900ms);
  CHECK(p.me.state(p.target) == "alive");
  CHECK(p.me.core.counters().probes == 2);
  p.ack(p.seq_no);
  CHECK(p.me.core.health_score() == 2);
  // Of the three ticks that fell into the long probe one was kept: the next probe begins at once.
  p.next();
  CHECK(p.ping.at == sent + 3900ms);
  p.ack(p.seq_no);
  const Instant before = p.me.now;
  p.next();
  CHECK(p.ping.at > before);
  CHECK(p.ping.at <= before + 1s);
}

TEST_CASE("a suspect is probed with the suspicion in the same datagram, with CRC and nothing else in it") {
  Probing p(LoneCore::options(), 1, 1);
  p.me.run_for(1001ms);
  REQUIRE(p.me.state("b") == "suspect");
  p.me.hear(test::alive({1, "c", peer(3)}));  // Something to tell, which must not ride along.
  for (int i = 0; i < 20 && p.ping.to != peer(2); ++i) p.next();
  while (!(p.ping.to == peer(2) && p.ping.parts.size() > 1 && p.ping.parts[1].starts_with("suspect"))) p.next();
  CHECK(p.ping.parts ==
        Lines{"ping " + std::to_string(p.seq_no) + " b to-answer 10.0.0.1:7946", "suspect 1 b from me"});
  CHECK(test::has_crc(p.ping.bytes));
  CHECK(p.ping.bytes[5] == 7);  // One compound below the CRC.
  p.ack(p.seq_no);
  CHECK(p.me.state("b") == "suspect");  // An ack does not refute; an alive of a higher incarnation does.
}

TEST_CASE("a suspect that cannot read CRCs gets none") {
  LoneCore me;
  me.hear(test::alive({1, "b", peer(2), "", {1, 4, 2, 2, 5, 5}}));
  me.hear(test::suspect(1, "b", "x"));
  me.quiet();
  const SentPacket ping = me.run_until_sent("ping");
  CHECK(ping.parts.size() == 2);
  CHECK_FALSE(test::has_crc(ping.bytes));
}

TEST_CASE("the dead, the departed and we ourselves are never probed; every other is, in each round") {
  Probing p(LoneCore::options(), 3, 6);
  p.ack(p.seq_no);
  p.me.hear(test::dead(1, "b", "x"));
  p.me.hear(test::dead(1, "c", "c"));
  std::map<std::string, int> probed;
  p.next();  // Whatever was chosen before.
  p.ack(p.seq_no);
  for (int i = 0; i < 40; ++i) {
    p.next();
    p.ack(p.seq_no);
    ++probed[p.target];
  }
  CHECK(probed.size() == 4);
  for (const std::string name : {"d", "e", "f", "g"}) {
    CAPTURE(name);
    CHECK((probed[name] >= 9 && probed[name] <= 11));  // Round robin: 40 probes of four.
  }
}

TEST_CASE("dead and left records are forgotten when the probes wrap after 30 s, the living never") {
  Probing p(LoneCore::options(), 1, 3);
  p.ack(p.seq_no);
  p.me.hear(test::dead(1, "b", "x"));
  p.me.hear(test::dead(1, "c", "c"));
  const Instant end = p.me.now + 40s;
  while (p.me.now < end) {
    if (p.me.now < end - 11s) {
      CHECK(p.me.state("b") == "dead");
      CHECK(p.me.state("c") == "left");
    }
    p.next();
    p.ack(p.seq_no);
  }
  CHECK(p.me.state("b") == "unknown");
  CHECK(p.me.state("c") == "unknown");
  CHECK(p.me.state("d") == "alive");
  CHECK(p.me.state("me") == "alive");
}

// ---- Helping

Memory indirect(std::uint32_t seq, bool nack, std::uint16_t port = 7946) {
  static const Endpoint target = peer(5), source = peer(8, 888);
  return encoded(wire::IndirectPing{seq, target.addr.raw(), port, "e", nack, source.addr.raw(), source.port, "h"});
}

TEST_CASE("a helper pings with a number of its own and sends the ack on under the asker's, with nothing in it") {
  LoneCore me;
  me.quiet();
  me.hear(indirect(4711, true), peer(9));
  REQUIRE(me.sent.size() == 1);
  CHECK(me.sent[0].to == peer(5));
  const std::uint32_t own = number(me.sent[0].parts[0], 1);
  CHECK(own != 4711);
  CHECK(me.sent[0].parts[0] == "ping " + std::to_string(own) + " e to-answer 10.0.0.1:7946");
  me.run_for(499ms);
  me.sent.clear();
  me.hear(encoded(wire::Ack{own, as_bytes("coordinates")}), peer(5));
  REQUIRE(me.sent.size() == 1);
  CHECK(me.sent[0].to == peer(8, 888));
  CHECK(me.sent[0].parts[0] == "ack 4711");
  me.sent.clear();
  me.hear(encoded(wire::Ack{own, {}}), peer(5));  // Once.
  me.run_for(100ms);
  CHECK(of_kind(me.sent, "ack").empty());
  CHECK(of_kind(me.sent, "nack").empty());
}

TEST_CASE("a helper that hears nothing says so after 500 ms, if asked to, and sends no later ack on") {
  LoneCore me;
  me.quiet();
  me.hear(indirect(1, true), peer(9));
  me.hear(indirect(2, false), peer(9));
  const std::uint32_t first = number(me.sent[0].parts[0], 1), second = number(me.sent[1].parts[0], 1);
  me.run_for(499ms);
  CHECK(of_kind(me.sent, "nack").empty());
  me.run_for(2ms);
  CHECK(of_kind(me.sent, "nack") == Lines{"nack 1 -> 10.0.0.8:888"});
  me.sent.clear();
  me.hear(encoded(wire::Ack{first, {}}), peer(5));
  me.hear(encoded(wire::Ack{second, {}}), peer(5));
  CHECK(me.sent.empty());
}

TEST_CASE("an indirect ping without a source is answered to its sender, and port 0 means our own port") {
  LoneCore me;
  me.quiet();
  const Endpoint target = peer(5);
  me.hear(encoded(wire::IndirectPing{1, target.addr.raw(), 0, "e", true}), peer(9, 99));
  CHECK(me.sent[0].to == peer(5, 7946));
  me.run_for(501ms);
  CHECK(of_kind(me.sent, "nack") == Lines{"nack 1 -> 10.0.0.9:99"});
}

TEST_CASE("more indirect pings at once than there is room for are refused and counted") {
  LoneCore me;
  me.quiet();
  for (std::uint32_t i = 0; i < 300; ++i) me.hear(indirect(i, false), peer(9));
  CHECK(me.sent.size() == 256);
  CHECK(me.refused(Refusal::kTooManyProbes) == 44);
  me.run_for(501ms);
  me.sent.clear();
  me.hear(indirect(1, false), peer(9));
  CHECK(me.sent.size() == 1);
}

TEST_CASE("an indirect ping that cannot be sent on leaves nothing behind") {
  LoneCore me;
  me.quiet();
  const Endpoint target = peer(5);
  const std::string long_name(900, 'n');
  me.hear(encoded(wire::IndirectPing{1, target.addr.raw(), 7946, long_name, true}), peer(9));
  me.hear(encoded(wire::IndirectPing{2, as_bytes("12345"), 7946, "e", true}), peer(9));
  CHECK(me.refused(Refusal::kNameTooLong) == 1);
  CHECK(me.refused(Refusal::kBadAddress) == 1);
  me.run_for(600ms);
  CHECK(of_kind(me.sent, "nack").empty());
  CHECK(of_kind(me.sent, "ping").empty());
}

}  // namespace
}  // namespace shoal::swim
