// One node that goes on under another name, since somebody else has the old one.
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

void rename(LoneCore& me, std::string_view name) {
  me.command([&](Outbox& out) { me.core.rename(me.now, NodeName(name), out); });
}

TEST_CASE("under the new name we are a new member: alive with our address, tags and versions, the old name is gone") {
  LoneCore me;
  me.command([&](Outbox& out) { me.core.set_meta(me.now, as_bytes("meta"), out); });
  me.quiet();
  const std::uint32_t before = me.core.self().incarnation;
  rename(me, "new");
  CHECK(me.state("me") == "unknown");
  CHECK(me.state("new") == "alive");
  CHECK(me.core.self().name == "new");
  CHECK(me.core.self().endpoint() == peer(1));
  CHECK(as_text(me.core.self().meta()) == "meta");
  CHECK(me.core.self().versions() == LoneCore::options().versions);
  CHECK(me.core.self().incarnation > before);
  CHECK(me.core.members().size() == 1);
  CHECK(me.news == Lines{"join new"});
  CHECK(me.ask() ==
        Lines{"alive " + std::to_string(before + 1) + " new 10.0.0.1:7946 meta " + test::to_hex(as_bytes("meta"))});
}

TEST_CASE("nothing that waits to be told names the old one any more: neither an alive nor a refutation") {
  LoneCore me;
  me.know("b", 2);
  me.hear(test::suspect(5, "me", "b"));                                               // Refuted,
  me.command([&](Outbox& out) { me.core.set_meta(me.now, as_bytes("meta"), out); });  // and told anew.
  me.hear(test::suspect(1, "b", "me"));
  REQUIRE(only(me.ask(), "alive").size() == 2);
  rename(me, "new");
  me.sent.clear();
  me.run_for(3s);
  const Lines riding = me.ask();
  bool told = false;
  for (const test::SentPacket& packet : me.sent) {
    for (const std::string& part : packet.parts) {
      CHECK_FALSE(part.starts_with("alive 6 me"));
      CHECK_FALSE(part.starts_with("alive 7 me"));
      told = told || part.starts_with("alive 8 new");
    }
  }
  CHECK(told);
  CHECK(only(riding, "alive 6").empty());
}

TEST_CASE("pings for the old name are a stranger's, those for the new one are answered, by datagram and by stream") {
  LoneCore me;
  me.quiet();
  rename(me, "new");
  me.news.clear();
  me.sent.clear();
  me.hear(encoded(wire::Ping{5, "me"}), peer(9));
  CHECK(me.sent.empty());
  CHECK(me.news == Lines{"stranger 10.0.0.9:7946"});
  CHECK(me.refused(Refusal::kWrongNode) == 1);
  me.hear(encoded(wire::Ping{6, "new"}), peer(9));
  REQUIRE(me.sent.size() == 1);
  CHECK(me.sent[0].parts[0] == "ack 6");
  CHECK(me.exchange(encoded(wire::Ping{7, "new"})) == Lines{"ack 7"});
  CHECK(me.exchange(encoded(wire::Ping{8, "me"})) == Lines{});
}

TEST_CASE("the old name's owner is a member like others: learned, suspected, and not refuted by us") {
  LoneCore me;
  me.quiet();
  rename(me, "new");
  me.quiet();
  me.hear(test::alive({1, "me", peer(9)}));
  CHECK(me.state("me") == "alive");
  CHECK(me.news == Lines{"join me"});
  me.quiet();
  me.hear(test::suspect(1, "me", "x"));
  CHECK(me.state("me") == "suspect");
  CHECK(me.ask() == Lines{"suspect 1 me from x"});
  CHECK(me.refused(Refusal::kConflict) == 0);
  me.hear(test::suspect(7, "new", "x"));
  CHECK(me.incarnation("new") == 8);
  CHECK(only(me.ask(), "alive") == Lines{"alive 8 new 10.0.0.1:7946"});
}

TEST_CASE("a probe that is under way at the rename ends as it would have, and the next goes out under the new name") {
  LoneCore me;
  me.know("b", 2);
  const test::SentPacket probe = me.run_until_sent("ping");
  rename(me, "new");
  me.hear(encoded(wire::Ack{test::number(probe.parts[0], 1), {}}), peer(2));
  CHECK(only(me.news, "round-trip b").size() == 1);
  me.run_for(400ms);
  me.quiet();
  me.run_until_sent("ping");
  wire::Ping ping;
  REQUIRE(me.sent.back().bytes[0] == 0);
  REQUIRE(wire::decode(Bytes(me.sent.back().bytes).subspan(1), ping));
  CHECK(ping.node == "b");
  CHECK(ping.source_node == "new");
  CHECK(me.state("b") == "alive");
}

TEST_CASE("nor is a probe that fails after the rename an accusation in the old name") {
  LoneCore me;
  me.know("b", 2);
  me.run_until_sent("ping");
  rename(me, "new");
  me.quiet();
  me.run_for(1s);
  CHECK(me.state("b") == "suspect");
  for (const test::SentPacket& packet : me.sent) CHECK(only(packet.parts, "suspect 1 b from me").empty());
}

TEST_CASE("in a full table there is room for us under any name, and all others stay") {
  Options options = LoneCore::options();
  options.members_max = 4;
  LoneCore me(options);
  for (std::uint8_t host = 2; host <= 4; ++host) me.know("n" + std::to_string(host), host);
  REQUIRE(me.core.members().size() == 4);
  for (const std::string name : {"one", "two", "three"}) {
    rename(me, name);
    CHECK(me.core.self().name == name);
    CHECK(me.core.members().size() == 4);
    for (const std::string other : {"n2", "n3", "n4"}) CHECK(me.state(other) == "alive");
  }
  CHECK(me.refused(Refusal::kTableFull) == 0);
}

TEST_CASE("push/pulls and the leave are in the new name") {
  LoneCore me;
  me.know("b", 2);
  const std::string name(kNameBytesMax, 'n');
  rename(me, name);
  const Lines answer = me.exchange(test::push_pull({}));
  REQUIRE(answer.size() == 3);
  CHECK(answer[0] == "push-pull sync nodes 2 state 0");
  CHECK(only(answer, "node me").empty());
  CHECK(only(answer, "node " + name + " 0 2 10.0.0.1:7946").size() == 1);
  me.command([&](Outbox& out) { me.core.leave(me.now, out); });
  CHECK(me.state(name) == "left");
  me.run_for(200ms);
  bool told = false;
  for (const test::SentPacket& packet : me.sent) {
    told = told || !only(packet.parts, "dead 2 " + name + " from " + name).empty();
  }
  CHECK(told);
}

TEST_CASE("a name that we had before may come back to us") {
  LoneCore me;
  me.quiet();
  rename(me, "new");
  rename(me, "me");
  CHECK(me.state("me") == "alive");
  CHECK(me.state("new") == "unknown");
  CHECK(me.ask() == Lines{"alive 3 me 10.0.0.1:7946"});
}

}  // namespace
}  // namespace shoal::swim
