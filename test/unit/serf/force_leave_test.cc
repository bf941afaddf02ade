// Force-leave: to say of another that it has left, and what becomes of a member that only one of the two layers knows.
#include <doctest/doctest.h>

#include "serf/node.h"
#include "support/lone_node.h"

namespace shoal::serf {
namespace {

using test::encoded;
using test::Lines;
using test::LoneNode;
using test::Memory;
using test::only;
using test::peer;
using test::user;

bool force_leave(LoneNode& me, std::string_view name, bool prune = false) {
  bool taken = false;
  me.command([&] { taken = me.node.force_leave(me.now, name, prune, me.out()); });
  return taken;
}
/// The leave intents that wait to be told: "TIME NODE [prune]".
Lines intents(LoneNode& me) {
  Lines out;
  for (const std::string& hex : only(me.told(), "00")) {
    const Memory bytes = test::from_hex(hex);
    wire::LeaveIntent intent;
    REQUIRE(wire::decode(Bytes(bytes).subspan(1), intent));
    out.push_back(std::to_string(intent.ltime) + " " + std::string(intent.node) + (intent.prune ? " prune" : ""));
  }
  return out;
}
/// The join intents, likewise.
Lines intents_of_join(LoneNode& me) {
  Lines out;
  for (const std::string& hex : only(me.told(), "01")) {
    const Memory bytes = test::from_hex(hex);
    wire::JoinIntent intent;
    REQUIRE(wire::decode(Bytes(bytes).subspan(1), intent));
    out.push_back(std::to_string(intent.ltime) + " " + std::string(intent.node));
  }
  return out;
}
void fail(LoneNode& me, std::string_view name) {
  me.hear(test::dead(1, name, "x"));
  me.quiet();
  REQUIRE(me.status(name) == "failed");
}

TEST_CASE("a failed member that is made to leave has left, here at once and elsewhere by the intent") {
  LoneNode me;
  me.know("b", 2);
  fail(me, "b");
  const std::uint64_t before = me.node.clock();
  CHECK(force_leave(me, "b"));
  CHECK(me.status("b") == "left");
  CHECK(me.events == Lines{"leave b"});
  CHECK(me.node.clock() == before + 1);
  CHECK(me.status_ltime("b") == before);
  CHECK(intents(me) == Lines{std::to_string(before) + " b"});
}

TEST_CASE("with prune it is forgotten at once, here and elsewhere") {
  LoneNode me;
  me.know("b", 2);
  fail(me, "b");
  CHECK(force_leave(me, "b", true));
  CHECK(me.status("b") == "unknown");
  CHECK(me.events == Lines{"leave b", "reap b"});
  CHECK(intents(me) == Lines{"1 b prune"});
}

TEST_CASE("one that has left already can be pruned, and one that leaves is when it is gone") {
  LoneNode me;
  me.know("b", 2);
  me.know("c", 3);
  me.hear(user(encoded(wire::LeaveIntent{5, "b", false})));
  me.hear(test::dead(1, "b", "b"));
  me.hear(user(encoded(wire::LeaveIntent{6, "c", false})));
  me.quiet();
  CHECK(force_leave(me, "b", true));
  CHECK(me.events == Lines{"reap b"});
  CHECK(force_leave(me, "c", true));
  CHECK(me.status("c") == "leaving");
  me.hear(test::dead(1, "c", "c"));
  me.run_for(30s);
  CHECK(me.status("c") == "unknown");
}

TEST_CASE("a living member contradicts with a join intent of a later time, and stays") {
  LoneNode me;
  me.know("b", 2);
  CHECK(force_leave(me, "b", true));
  CHECK(me.status("b") == "leaving");
  me.hear(user(encoded(wire::JoinIntent{me.node.clock(), "b"})));
  CHECK(me.status("b") == "alive");
  CHECK(me.events == Lines{"leaving b", "update b"});
  me.run_for(2min);
  me.hear(test::alive({9, "b", peer(2)}));
  CHECK(me.node.members().get("b") != nullptr);
}

TEST_CASE("a name that we do not know is told all the same: others may") {
  LoneNode me;
  CHECK(force_leave(me, "x"));
  CHECK(intents(me) == Lines{"1 x"});
  CHECK(me.events.empty());
  // And should it turn up with us, it leaves.
  me.know("x", 7);
  CHECK(me.status("x") == "leaving");
}

TEST_CASE("each time it is said it is said with a later time") {
  LoneNode me;
  me.know("b", 2);
  fail(me, "b");
  CHECK(force_leave(me, "b"));
  CHECK(force_leave(me, "b"));
  CHECK(intents(me) == Lines{"2 b", "1 b"});
  CHECK(me.events == Lines{"leave b"});
}

TEST_CASE("ourselves, nobody, and names beyond 255 bytes cannot be made to leave") {
  LoneNode me;
  CHECK_FALSE(force_leave(me, "me"));
  CHECK_FALSE(force_leave(me, ""));
  CHECK_FALSE(force_leave(me, std::string(256, 'x')));
  CHECK(intents(me).empty());
  CHECK(me.node.clock() == 1);
  CHECK(force_leave(me, std::string(255, 'x')));
  CHECK(intents(me).size() == 1);
}

TEST_CASE("when it is said of us while we are here we contradict, and are not pruned") {
  LoneNode me;
  me.know("b", 2);
  me.hear(user(encoded(wire::LeaveIntent{40, "me", true})));
  CHECK(me.status("me") == "alive");
  CHECK(only(me.told(), "01").size() == 1);
  me.run_for(2min);
  CHECK(me.status("me") == "alive");
  // While we leave, it cannot take us out of the table before we are gone.
  me.command([&] { me.node.leave(me.now, me.out()); });
  me.hear(user(encoded(wire::LeaveIntent{90, "me", true})));
  me.run_for(1min);
  CHECK(me.left);
}

TEST_CASE(
    "a leave with the very time of our own join is contradicted once: who heard it first does not take the join") {
  LoneNode me;
  me.know("b", 2);
  me.command([&] { me.node.join(me.now, peer(2), me.out()); });
  me.hear(user(encoded(wire::LeaveIntent{40, "me", false})));
  const std::uint64_t joined = me.node.clock() - 1;
  me.quiet();
  me.hear(user(encoded(wire::LeaveIntent{joined, "me", false})));
  CHECK(intents_of_join(me) == Lines{std::to_string(joined + 1) + " me"});
  me.quiet();
  me.hear(user(encoded(wire::LeaveIntent{joined, "me", false})));
  me.hear(user(encoded(wire::LeaveIntent{joined - 1, "me", false})));
  CHECK(intents_of_join(me).empty());
}

// ---- Known to one layer alone

TEST_CASE("a member that is pruned here and lives on in swim: nothing that comes of it is more than ignored") {
  LoneNode me;
  me.know("b", 2);
  CHECK(force_leave(me, "b", true));
  me.run_for(30s);  // It does not contradict, and its time is over.
  REQUIRE(me.status("b") == "unknown");
  me.run_for(1s);
  const swim::Slot slot = me.node.swim().members().find("b");
  if (slot == swim::kNoSlot || me.node.swim().members()[slot].gone()) {
    me.hear(test::alive({40, "b", peer(2)}));
    CHECK(force_leave(me, "b", true));
  }
  me.hear(test::alive({50, "b", peer(2), "other meta"}));  // An update.
  me.hear(test::alive({51, "b", peer(7)}));                // A conflict.
  me.hear(test::suspect(50, "b", "x"));
  me.hear(test::alive({60, "b", peer(2), "again"}));
  me.hear(user(test::query({.reply_to = peer(2), .flags = wire::kQueryFlagAck, .relay_factor = 1})));
  me.hear(user(test::query({.id = 2, .name = "_serf_conflict", .payload = "b"})));
  me.hear(test::dead(60, "b", "x"));
  CHECK(me.status("me") == "alive");
  me.hear(test::alive({70, "b", peer(2)}));
  CHECK(me.status("b") != "unknown");  // Back from the dead it is a new member.
}

TEST_CASE("nobody is pruned whom swim has alive, whenever the reaper comes by") {
  for (Duration before = 0s; before < 15s; before += 1s) {
    CAPTURE(before.count());
    LoneNode me;
    const auto answer_pings_for = [&me](Duration d) {
      for (const Instant end = me.now + d; me.now < end;) {
        const std::size_t sent = me.sent.size();
        me.run_for(10ms);
        for (std::size_t k = sent; k < me.sent.size(); ++k) {
          if (me.sent[k].parts.empty() || !me.sent[k].parts[0].starts_with("ping")) continue;
          me.hear(encoded(wire::Ack{test::number(me.sent[k].parts[0], 1), {}}), peer(2));
          break;
        }
      }
    };
    me.know("b", 2);
    answer_pings_for(before);
    me.hear(user(encoded(wire::LeaveIntent{9, "b", true})));
    me.forget();
    answer_pings_for(40s);
    CHECK(me.status("b") == "alive");
    CHECK(me.events == Lines{"update b"});
  }
}

TEST_CASE(
    "who is to be pruned and is suspected meanwhile is pruned when it is dead, and a member again when it is not") {
  for (const bool dies : {false, true}) {
    CAPTURE(dies);
    LoneNode me;
    for (const std::uint8_t host : std::initializer_list<std::uint8_t>{2, 3, 4, 5}) {
      me.know(std::string(1, static_cast<char>('a' + host - 1)), host);
    }
    me.run_for(7s);
    me.hear(test::suspect(1, "b", "c"));
    me.hear(user(encoded(wire::LeaveIntent{9, "b", true})));
    me.run_for(9s);
    if (dies) {
      me.hear(test::dead(1, "b", "c"));
      me.run_for(30s);
      CHECK(me.status("b") == "unknown");
    } else {
      me.hear(test::alive({2, "b", peer(2)}));
      CHECK(me.node.members().get("b") != nullptr);
    }
  }
}

TEST_CASE("a member that is to be pruned and lives on stays: it answers pings, so the word was not its own") {
  LoneNode me;
  me.know("b", 2);
  me.hear(user(encoded(wire::LeaveIntent{9, "b", true})));
  CHECK(me.status("b") == "leaving");
  me.forget();
  for (int i = 0; i < 4000; ++i) {
    const std::size_t before = me.sent.size();
    me.run_for(10ms);
    for (std::size_t k = before; k < me.sent.size(); ++k) {
      if (me.sent[k].parts.empty() || !me.sent[k].parts[0].starts_with("ping")) continue;
      me.hear(encoded(wire::Ack{test::number(me.sent[k].parts[0], 1), Memory{1}}), peer(2));
      break;
    }
    REQUIRE(me.status("b") != "unknown");
  }
  CHECK(me.status("b") == "alive");
  CHECK(me.events == Lines{"update b"});
  CHECK(me.node.counters().coordinates_refused > 0);  // A payload of one byte is no coordinate.
  CHECK_FALSE(me.node.round_trip("b").has_value());
}

}  // namespace
}  // namespace shoal::serf
