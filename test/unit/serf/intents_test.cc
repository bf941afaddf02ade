// Members and intents: the table of serf's rules, by raw datagrams.
#include <doctest/doctest.h>

#include "serf/node.h"
#include "support/lone_node.h"

namespace shoal::serf {
namespace {

using test::alive;
using test::dead;
using test::encoded;
using test::Lines;
using test::LoneNode;
using test::Memory;
using test::only;
using test::peer;
using test::user_of;
using wire::JoinIntent;
using wire::LeaveIntent;

/// "b" in this status, its last intent at time 10, nothing left to tell.
void put_b(LoneNode& me, const std::string& status) {
  me.know("b", 2);
  me.hear(user_of(JoinIntent{10, "b"}));
  if (status == "leaving" || status == "left") {
    me.hear(user_of(LeaveIntent{11, "b", false}));
  }
  if (status == "left") me.hear(dead(1, "b", "b"));
  if (status == "failed") me.hear(dead(1, "b", "x"));
  me.quiet();
  REQUIRE(me.status("b") == status);
}

// Columns: b's status, what comes, its time after b's last -> status, event, told on.
constexpr std::string_view kTable = R"(
  alive    leave  1   leaving  leaving  yes
  alive    leave  0   alive    -        no     # not newer
  alive    leave  -1  alive    -        no
  alive    join   1   alive    -        yes
  alive    join   0   alive    -        no
  leaving  leave  1   leaving  -        yes
  leaving  leave  0   leaving  -        no
  leaving  join   1   alive    update   yes    # it has changed its mind
  leaving  join   0   leaving  -        no
  failed   leave  1   left     leave    yes    # force-leave, or a leave whose intent came late
  failed   leave  0   failed   -        no
  failed   join   1   failed   -        yes
  left     leave  1   left     -        yes
  left     leave  0   left     -        no
  left     join   1   left     -        yes
)";

TEST_CASE("intents change a member's status as the table says, and are told on when they are news") {
  for (const Lines& row : test::table(kTable)) {
    REQUIRE(row.size() == 6);
    CAPTURE(row[0]);
    CAPTURE(row[1]);
    CAPTURE(row[2]);
    LoneNode me;
    put_b(me, row[0]);
    const std::uint64_t before = me.status_ltime("b");
    const std::uint64_t ltime = before + static_cast<std::uint64_t>(std::stoll(row[2]));
    const Memory message =
        row[1] == "leave" ? encoded(LeaveIntent{ltime, "b", false}) : encoded(JoinIntent{ltime, "b"});
    me.hear(test::user(message));
    CHECK(me.status("b") == row[3]);
    CHECK(me.events == (row[4] == "-" ? Lines{} : Lines{row[4] + " b"}));
    CHECK(me.told() == (row[5] == "yes" ? Lines{test::to_hex(message)} : Lines{}));
    CHECK(me.status_ltime("b") == (row[5] == "yes" ? ltime : before));
    CHECK(me.node.clock() > ltime);  // Witnessed in any case.
  }
}

TEST_CASE("death by own hand after the intent is a leave, without it a failure; death by another's is one too") {
  struct {
    bool intent;
    const char *from, *status;
  } const rows[] = {{true, "b", "left"}, {true, "x", "left"}, {false, "b", "failed"}, {false, "x", "failed"}};
  for (const auto& row : rows) {
    CAPTURE(row.intent);
    CAPTURE(row.from);
    LoneNode me;
    me.know("b", 2);
    if (row.intent) me.hear(user_of(LeaveIntent{5, "b", false}));
    me.forget();
    me.hear(dead(1, "b", row.from));
    CHECK(me.status("b") == row.status);
    CHECK(me.events == Lines{std::string(row.intent ? "leave" : "failed") + " b"});
  }
}

TEST_CASE("a member that failed or left and returns is alive, with its new tags and address") {
  for (const std::string status : {"failed", "left"}) {
    LoneNode me;
    put_b(me, status);
    const Memory meta = LoneNode::encode_tags({{"role", "task"}});
    const std::uint8_t host = status == "left" ? 7 : 2;  // Who has left may move.
    me.hear(alive({2, "b", peer(host), std::string(as_text(meta))}));
    CHECK(me.status("b") == "alive");
    CHECK(me.events == Lines{"join b"});
    CHECK(me.node.members().get("b")->endpoint() == peer(host));
    CHECK(wire::tag_value(me.node.members().get("b")->meta(), "role") == "task");
  }
}

TEST_CASE("changed tags of a living member are an update") {
  LoneNode me;
  me.know("b", 2);
  const Memory meta = LoneNode::encode_tags({{"state", "ready"}});
  me.hear(alive({2, "b", peer(2), std::string(as_text(meta))}));
  CHECK(me.events == Lines{"update b"});
  CHECK(wire::tag_value(me.node.members().get("b")->meta(), "state") == "ready");
  me.forget();
  me.hear(alive({3, "b", peer(2), std::string(as_text(meta))}));
  CHECK(me.events == Lines{});
}

TEST_CASE("intents about strangers are kept for when they come, the newest alone, and told on when kept") {
  LoneNode me;
  const Memory first = encoded(LeaveIntent{5, "b", false}), older = encoded(JoinIntent{4, "b"}),
               same = encoded(LeaveIntent{5, "b", false}), newer = encoded(LeaveIntent{6, "b", false});
  me.hear(test::user(first));
  CHECK(me.told() == Lines{test::to_hex(first)});
  me.quiet();
  me.hear(test::user(older));
  me.hear(test::user(same));
  CHECK(me.told() == Lines{});
  me.hear(test::user(newer));
  CHECK(me.told() == Lines{test::to_hex(newer)});
  me.hear(alive({1, "b", peer(2)}));
  CHECK(me.status("b") == "leaving");
  CHECK(me.status_ltime("b") == 6);
  me.hear(dead(1, "b", "b"));
  CHECK(me.status("b") == "left");
}

TEST_CASE("a kept join intent gives its time to the newcomer") {
  LoneNode me;
  me.hear(user_of(JoinIntent{9, "b"}));
  me.hear(alive({1, "b", peer(2)}));
  CHECK(me.status("b") == "alive");
  CHECK(me.status_ltime("b") == 9);
}

TEST_CASE("an intent about a stranger is forgotten after five minutes, and there is room for 512") {
  Members members(8, 0);
  CHECK(members.buffer_intent("b", true, 5, Instant{}));
  for (int i = 0; i < 511; ++i) CHECK(members.buffer_intent("n" + std::to_string(i), false, 5, Instant{} + 1min));
  CHECK_FALSE(members.buffer_intent("one-too-many", true, 5, Instant{} + 2min));
  CHECK(members.buffer_intent("another", true, 5, Instant{} + 5min + 1ns));  // In place of b.
  CHECK(members.take_intent("b").ltime == 0);
  CHECK(members.take_intent("another").ltime == 5);
  CHECK(members.take_intent("another").ltime == 0);
  CHECK_FALSE(members.buffer_intent(std::string(256, 'x'), true, 5, Instant{} + 5min));
}

TEST_CASE("the same leave intent a hundred times is told on as one") {
  LoneNode me;
  me.know("b", 2);
  const Memory message = encoded(LeaveIntent{5, "b", false});
  for (int i = 0; i < 100; ++i) me.hear(test::user(message));
  CHECK(me.events == Lines{"leaving b"});
  CHECK(me.told() == Lines{test::to_hex(message)});
  int copies = 1;
  for (int i = 0; i < 100; ++i) {
    me.hear(test::user(message));
    copies += static_cast<int>(me.told().size());
  }
  CHECK(copies == 4);  // The limit for two members.
}

TEST_CASE("a leave intent about us while we are here is answered by a join intent with a later time") {
  LoneNode me;
  me.know("b", 2);
  me.hear(user_of(LeaveIntent{50, "me", false}));
  CHECK(me.status("me") == "alive");
  CHECK(me.events == Lines{});
  const Lines told = me.told();
  CHECK(told == Lines{test::to_hex(encoded(JoinIntent{51, "me"}))});
  CHECK(me.status_ltime("me") == 51);
  CHECK(me.node.clock() == 52);
  me.quiet();
  me.hear(user_of(LeaveIntent{50, "me", false}));  // Old now.
  CHECK(me.told() == Lines{});
}

TEST_CASE("prune forgets who is gone at once, and who is leaving after six seconds") {
  LoneNode me;
  put_b(me, "failed");
  me.hear(user_of(LeaveIntent{20, "b", true}));
  CHECK(me.events == Lines{"leave b", "reap b"});
  CHECK(me.status("b") == "unknown");
  NodeOptions options = LoneNode::options();
  options.swim.timing.probe_interval = 1h;  // b answers no probes.
  LoneNode other({}, options);
  put_b(other, "alive");
  other.run_for(14s);  // The reaper looks every 15 s.
  other.hear(user_of(LeaveIntent{20, "b", true}));
  CHECK(other.status("b") == "leaving");
  other.hear(dead(1, "b", "b"));
  CHECK(other.status("b") == "left");
  other.run_for(5s);
  CHECK(other.status("b") == "left");
  other.run_for(12s);
  CHECK(other.status("b") == "unknown");
  CHECK(other.events.back() == "reap b");
}

TEST_CASE("failed and left members are forgotten after the set time, the living never") {
  NodeOptions options = LoneNode::options();
  options.reap_after = 1min;
  LoneNode me({}, options);
  put_b(me, "failed");
  me.know("c", 3);
  me.hear(user_of(LeaveIntent{30, "c", false}));
  me.hear(dead(1, "c", "c"));
  me.run_for(59s);
  CHECK(me.status("b") == "failed");
  CHECK(me.status("c") == "left");
  me.run_for(17s);
  CHECK(me.status("b") == "unknown");
  CHECK(me.status("c") == "unknown");
  CHECK(only(me.events, "reap").size() == 2);
  CHECK(me.status("me") == "alive");
}

// ---- Our own leave

TEST_CASE("on a leave the intent goes out before the death, and both end with `left`") {
  LoneNode me;
  for (int host = 2; host < 5; ++host) me.know("n" + std::to_string(host), static_cast<std::uint8_t>(host));
  const std::uint64_t clock = me.node.clock();
  me.command([&] { me.node.leave(me.now, me.out()); });
  CHECK(me.node.leaving());
  CHECK(me.status("me") == "leaving");
  CHECK(me.node.clock() == clock + 1);
  const std::string intent = "user " + test::to_hex(encoded(LeaveIntent{clock, "me", false}));
  me.run_for(10s);
  CHECK(me.left);
  CHECK(me.status("me") == "left");
  std::vector<Instant> intents, deaths;
  for (const LoneNode::Sent& packet : me.sent) {
    for (const std::string& part : packet.parts) {
      if (part == intent) intents.push_back(packet.at);
      if (part == "dead 1 me from me") deaths.push_back(packet.at);
    }
  }
  REQUIRE(intents.size() == 4);  // Four members: 4 x 1.
  REQUIRE(deaths.size() == 4);
  CHECK(intents.back() <= deaths.front());
}

TEST_CASE("pings are still answered for a second after the death has been told, and nothing is refuted") {
  LoneNode me;
  me.know("b", 2);
  me.command([&] { me.node.leave(me.now, me.out()); });
  while (me.node.swim().queue().empty()) me.run_for(50ms);  // Until the death waits to be told.
  while (!me.node.swim().queue().empty()) me.run_for(50ms);
  const Instant told = me.now;
  me.ask();
  me.hear(test::suspect(9, "me", "x"));
  CHECK(me.node.swim().self().incarnation == 1);
  while (!me.left) me.run_for(10ms);
  CHECK(me.now - told > 900ms);
  CHECK(me.now - told < 1200ms);
}

TEST_CASE("a leave with nobody there ends at once") {
  LoneNode me;
  me.command([&] { me.node.leave(me.now, me.out()); });
  me.run_for(100ms);
  CHECK(me.left);
}

TEST_CASE("our tags keep their order of incarnations and go to all") {
  LoneNode me(test::Tags{{"state", "starting"}});
  const Memory ready = LoneNode::encode_tags({{"state", "ready"}});
  me.command([&] { me.node.set_meta(me.now, ready, me.out()); });
  CHECK(me.events == Lines{"update me"});
  CHECK(me.ask() == Lines{"alive 2 me 10.0.0.1:7946 meta " + test::to_hex(ready)});
}

TEST_CASE("a successful join is followed by a join intent, an exchange for anti-entropy is not") {
  for (const bool join : {true, false}) {
    CAPTURE(join);
    LoneNode me;
    me.command([&] { join ? me.node.join(me.now, peer(2), me.out()) : me.node.push_pull(me.now, peer(2), me.out()); });
    REQUIRE(me.connects.size() == 1);
    const swim::StreamId id = me.connects.begin()->first;
    me.command([&] { me.node.on_stream_connected(me.now, id, me.out()); });
    CHECK(
        test::stream_lines(me.streams[id])[0].starts_with(join ? "push-pull join nodes 1" : "push-pull sync nodes 1"));
    CHECK(me.told() == Lines{});
    me.command([&] { me.node.on_stream_bytes(me.now, id, test::push_pull({{"b", peer(2)}}, false), me.out()); });
    CHECK(me.joins == Lines{"10.0.0.2:7946 ok"});
    CHECK(me.status("b") == "alive");
    CHECK(me.told() == (join ? Lines{test::to_hex(encoded(JoinIntent{1, "me"}))} : Lines{}));
  }
}

TEST_CASE("one failed member is tried again now and then") {
  LoneNode me;
  put_b(me, "failed");
  bool tried = false;
  for (int i = 0; i < 20 && !tried; ++i) {
    me.run_for(30s);
    for (const auto& [id, to] : me.connects) tried = tried || to == peer(2);
  }
  CHECK(tried);
}

}  // namespace
}  // namespace shoal::serf
