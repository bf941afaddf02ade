// Two nodes of one name: who asks, who keeps it, and how the other goes on under a new one.
#include <doctest/doctest.h>

#include "serf/node.h"
#include "support/lone_node.h"

namespace shoal::serf {
namespace {

using test::answers;
using test::encoded;
using test::Lines;
using test::LoneNode;
using test::Memory;
using test::only;
using test::peer;
using test::user;

/// Who has our name besides us. We are 10.0.0.1.
constexpr std::uint8_t kOther = 9;

void conflict(LoneNode& me, const Endpoint& other = peer(kOther)) {
  me.hear(test::alive({1, std::string(me.node.name()), other}), peer(3));
}

/// The queries of this name that are being told; those who vote answer the first.
std::vector<wire::Query> told_queries(LoneNode& me, std::string_view name, std::vector<Memory>& memory) {
  std::vector<wire::Query> out;
  for (const std::string& hex : only(me.told(), "04")) {
    memory.push_back(test::from_hex(hex));
    wire::Query query;
    REQUIRE(wire::decode(Bytes(memory.back()).subspan(1), query));
    if (query.name == name) out.push_back(query);
  }
  return out;
}

struct Ballot {
  std::uint64_t ltime = 0;
  std::uint32_t id = 0;
};
Ballot open_ballot(LoneNode& me) {
  conflict(me);
  std::vector<Memory> memory;
  const std::vector<wire::Query> asked = told_queries(me, "_serf_conflict", memory);
  REQUIRE(asked.size() == 1);
  CHECK(as_text(asked[0].payload) == me.node.name());
  return {asked[0].ltime, asked[0].id};
}
void say(LoneNode& me, const Ballot& ballot, std::string_view from, Bytes payload, std::uint32_t flags = 0) {
  me.hear(user(encoded(wire::QueryResponse{ballot.ltime, ballot.id, from, flags, payload})));
}
Memory names(const Endpoint& where) {
  wire::ConflictResponse answer;
  wire::Member& member = answer.member.emplace();
  member.name = "me";
  member.addr = where.addr.raw();
  member.port = where.port;
  return encoded(answer);
}
Memory knows_nobody() { return encoded(wire::ConflictResponse{}); }

void settle(LoneNode& me) { me.run_for(me.node.default_query_timeout() + 1ms); }

/// The name that a dispute ended with.
std::string lose(LoneNode& me) {
  const Ballot ballot = open_ballot(me);
  say(me, ballot, "judge", names(peer(kOther)));
  settle(me);
  REQUIRE(me.renames.size() == 1);
  return std::string(me.node.name());
}

// ---- The vote

TEST_CASE("our name from another address: the cluster is asked whose it is, by serf's own query, and the app is told") {
  LoneNode me;
  me.know("b", 2);
  const Ballot ballot = open_ballot(me);
  CHECK(ballot.id != 0);
  CHECK(me.conflicts == Lines{"me 10.0.0.1:7946 10.0.0.9:7946"});
  CHECK(me.queries.empty());
  CHECK(answers(me).empty());  // Who has the name is no judge.
}

TEST_CASE("another's name from another address is told and asks nobody") {
  LoneNode me;
  me.know("b", 2);
  me.hear(test::alive({1, "b", peer(7)}));
  CHECK(me.conflicts == Lines{"b 10.0.0.2:7946 10.0.0.7:7946"});
  CHECK(me.told() == Lines{});
  me.run_for(10s);
  CHECK(me.renames.empty());
}

TEST_CASE("who is known by the name to more than half of those who answer keeps it, the other takes a new one") {
  struct {
    const char* what;
    int ours, others, nobody, garbage;
    bool keep;
  } const rows[] = {
      {"one for us", 1, 0, 0, 0, true},
      {"one against us", 0, 1, 0, 0, false},
      {"a tie", 1, 1, 0, 0, false},
      {"two to one", 2, 1, 0, 0, true},
      {"one to two", 1, 2, 0, 0, false},
      {"two to two", 2, 2, 0, 0, false},
      {"three to two", 3, 2, 0, 0, true},
      {"who knows nobody of the name is against us", 1, 0, 1, 0, false},
      {"and may be outvoted", 2, 0, 1, 0, true},
      {"nobody knows either", 0, 0, 2, 0, false},
      {"what cannot be read is no vote", 1, 0, 0, 3, true},
      {"for nobody", 0, 1, 0, 3, false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    LoneNode me;
    const Ballot ballot = open_ballot(me);
    int n = 0;
    const auto voter = [&n] { return "n" + std::to_string(++n); };
    const Memory garbage[] = {{}, {6, 0xc1}, {8, 0x80}};
    for (int i = 0; i < row.garbage; ++i) say(me, ballot, voter(), garbage[i]);
    for (int i = 0; i < row.nobody; ++i) say(me, ballot, voter(), knows_nobody());
    for (int i = 0; i < row.others; ++i) say(me, ballot, voter(), names(peer(kOther)));
    for (int i = 0; i < row.ours; ++i) say(me, ballot, voter(), names(peer(1)));
    say(me, ballot, "acks", {}, wire::kResponseFlagAck);  // No vote.
    CHECK(me.responses.empty());                          // Nothing for the app.
    settle(me);
    CHECK((me.node.name() == "me") == row.keep);
    CHECK(me.renames.size() == (row.keep ? 0 : 1));
    CHECK(me.status("me") == (row.keep ? "alive" : "unknown"));
    CHECK(me.node.counters().malformed == static_cast<std::uint64_t>(row.garbage));
  }
}

TEST_CASE("each member has one vote, however often it comes and by whatever way") {
  {
    LoneNode me;
    const Ballot ballot = open_ballot(me);
    for (int i = 0; i < 5; ++i) say(me, ballot, "a", names(peer(1)));
    say(me, ballot, "b", names(peer(kOther)));
    settle(me);
    CHECK(me.node.name() != "me");  // 1 of 2.
  }
  LoneNode me;
  const Ballot ballot = open_ballot(me);
  for (int i = 0; i < 5; ++i) say(me, ballot, "a", names(peer(kOther)));
  for (const std::string_view from : {"b", "c"}) say(me, ballot, from, names(peer(1)));
  settle(me);
  CHECK(me.node.name() == "me");  // 2 of 3.
}

TEST_CASE("a vote is for us by address and port, with 4 bytes or 16") {
  const Endpoint mapped{*IpAddress::from_raw(test::from_hex("00000000000000000000ffff0a000001")), 7946};
  struct {
    Endpoint where;
    bool keep;
  } const rows[] = {{peer(1), true}, {mapped, true}, {peer(1, 7947), false}, {peer(2), false}};
  for (const auto& row : rows) {
    LoneNode me;
    say(me, open_ballot(me), "judge", names(row.where));
    settle(me);
    CHECK((me.node.name() == "me") == row.keep);
  }
  // An address that is none is a vote, but not for us.
  LoneNode me;
  wire::ConflictResponse answer;
  answer.member.emplace().addr = as_bytes("12345");
  say(me, open_ballot(me), "judge", encoded(answer));
  settle(me);
  CHECK(me.node.name() != "me");
}

TEST_CASE("when nobody answers the lower address keeps the name, so that of two lone nodes one does") {
  struct {
    Endpoint own, other;
    bool keep;
  } const rows[] = {
      {peer(1), peer(9), true},
      {peer(9), peer(1), false},
      {peer(1, 7000), peer(1, 8000), true},
      {peer(1, 8000), peer(1, 7000), false},
  };
  for (const auto& row : rows) {
    NodeOptions options = LoneNode::options();
    options.swim.advertise = row.own;
    LoneNode me({}, options);
    conflict(me, row.other);
    settle(me);
    CHECK((me.node.name() == "me") == row.keep);
  }
}

TEST_CASE("our own address in its other form is no rival: we keep the name") {
  const Endpoint mapped{*IpAddress::from_raw(test::from_hex("00000000000000000000ffff0a000001")), 7946};
  LoneNode me;
  conflict(me, mapped);
  CHECK(me.told() == Lines{});  // Nobody need be asked.
  settle(me);
  CHECK(me.node.name() == "me");
}

TEST_CASE("votes that come after the time, or for another query, do not count") {
  LoneNode me;
  const Ballot ballot = open_ballot(me);
  say(me, {ballot.ltime, ballot.id + 1}, "a", names(peer(kOther)));
  say(me, {ballot.ltime + 1, ballot.id}, "b", names(peer(kOther)));
  settle(me);
  CHECK(me.node.name() == "me");
  say(me, ballot, "c", names(peer(kOther)));
  me.run_for(10s);
  CHECK(me.node.name() == "me");
  CHECK(me.responses.empty());
}

TEST_CASE("one dispute at a time, and one a minute") {
  LoneNode me;
  open_ballot(me);
  me.quiet();
  for (int i = 0; i < 5; ++i) conflict(me);
  CHECK(me.told() == Lines{});
  settle(me);
  me.quiet();
  me.run_for(59s);
  conflict(me);
  CHECK(me.told() == Lines{});
  me.run_for(1s);
  open_ballot(me);
}

TEST_CASE("who leaves does not dispute, and who begins to leave in a dispute keeps its name to the end") {
  {
    LoneNode me;
    me.know("b", 2);
    me.command([&] { me.node.leave(me.now, me.out()); });
    me.quiet();
    conflict(me);
    CHECK(me.told() == Lines{});
  }
  for (const Duration pause : {Duration(0s), Duration(3100ms)}) {
    CAPTURE(pause.count());
    LoneNode me;
    me.know("b", 2);
    say(me, open_ballot(me), "judge", names(peer(kOther)));
    me.run_for(pause);
    me.command([&] { me.node.leave(me.now, me.out()); });
    me.run_for(20s);
    CHECK(me.left);
    CHECK(me.renames.empty());
    CHECK(me.node.name() == "me");
    CHECK(me.status("me") == "left");
  }
}

// ---- Into a cluster that has our name

/// We join through `to`, who has these members and a state of its own.
void join(LoneNode& me, const std::vector<test::StateEntry>& entries) {
  me.connects.clear();
  me.command([&] { me.node.join(me.now, peer(2), me.out()); });
  REQUIRE(me.connects.size() == 1);
  const swim::StreamId id = me.connects.begin()->first;
  me.command([&] { me.node.on_stream_connected(me.now, id, me.out()); });
  Memory memory(256);
  ByteWriter out(memory);
  const wire::SerfStateWriter state(out, {1, 1, 1}, 0, 0);
  me.command([&] { me.node.on_stream_bytes(me.now, id, test::push_pull(entries, false, out.written()), me.out()); });
}

TEST_CASE("when the answer to our first join has our name elsewhere we give way at once, and ask nobody") {
  LoneNode me;
  join(me, {{"b", peer(2)}, {"me", peer(kOther)}, {"c", peer(3)}});
  REQUIRE(me.renames.size() == 1);
  const std::string name(me.node.name());
  CHECK(me.renames == Lines{"me " + name});
  CHECK(me.status(name) == "alive");
  CHECK(me.status("b") == "alive");
  CHECK(me.status("c") == "alive");
  CHECK(me.joins == Lines{"10.0.0.2:7946 ok"});
  CHECK(me.strangers == Lines{"10.0.0.9:7946"});
  std::vector<Memory> memory;
  CHECK(told_queries(me, "_serf_conflict", memory).empty());
  me.hear(test::alive({1, "me", peer(kOther)}));
  CHECK(me.status("me") == "alive");
  me.run_for(70s);
  CHECK(me.node.name() == name);
}

TEST_CASE("in the answer to a later join it is a dispute like any, and our own address is none") {
  LoneNode me;
  const Endpoint mapped{*IpAddress::from_raw(test::from_hex("00000000000000000000ffff0a000001")), 7946};
  join(me, {{"b", peer(2)}, {"me", mapped}});
  CHECK(me.renames.empty());
  me.quiet();
  join(me, {{"b", peer(2)}, {"me", peer(kOther)}});
  CHECK(me.renames.empty());
  std::vector<Memory> memory;
  CHECK(told_queries(me, "_serf_conflict", memory).size() == 1);
}

// ---- The new name

TEST_CASE("the loser is a new member: old name forgotten, new one alive with tags and address, all of it told") {
  LoneNode me(test::Tags{{"role", "task"}});
  me.know("b", 2);
  const Memory meta(me.node.members().get("me")->meta().begin(), me.node.members().get("me")->meta().end());
  const std::string name = lose(me);
  CHECK(name.size() == 2 + 6);
  CHECK(name.starts_with("me-"));
  CHECK(name.find_first_not_of("0123456789abcdef", 3) == std::string::npos);
  CHECK(me.renames == Lines{"me " + name});
  CHECK(me.events == Lines{"reap me", "join " + name});
  CHECK(me.strangers == Lines{"10.0.0.9:7946"});  // Who has the name knows others.
  CHECK(me.status("me") == "unknown");
  REQUIRE(me.status(name) == "alive");
  const Member& own = *me.node.members().get(name);
  CHECK(own.endpoint() == peer(1));
  CHECK(same_bytes(own.meta(), meta));
  CHECK(own.versions() == LoneNode::options().swim.versions);
  CHECK(me.node.members().size() == 2);
  CHECK(me.node.round_trip(name) == Duration{});
  CHECK(me.node.swim().self().name == name);
  // A join intent follows, with a time of its own.
  const Lines riding = me.ask();
  REQUIRE(only(riding, "alive").size() == 1);
  CHECK(test::word(only(riding, "alive")[0], 2) == name);
  const Lines intents = only(riding, "user 01");
  REQUIRE(intents.size() == 1);
  const Memory bytes = test::from_hex(intents[0].substr(5));
  wire::JoinIntent intent;
  REQUIRE(wire::decode(Bytes(bytes).subspan(1), intent));
  CHECK(intent.node == name);
  CHECK(me.status_ltime(name) == intent.ltime);
}

TEST_CASE("after the rename the old name's owner is learned like anybody, and no dispute follows") {
  LoneNode me;
  const std::string name = lose(me);
  me.quiet();
  me.hear(test::alive({4, "me", peer(kOther)}));
  CHECK(me.status("me") == "alive");
  CHECK(me.node.members().get("me")->endpoint() == peer(kOther));
  CHECK(me.events == Lines{"join me"});
  CHECK(me.conflicts.empty());
  CHECK(me.told() == Lines{});
  me.run_for(70s);
  CHECK(me.node.name() == name);
  CHECK(me.renames.empty());
}

TEST_CASE("what we say from then on is in the new name: queries, answers, intents, push/pulls; filters go by it") {
  LoneNode me;
  me.know("b", 2);
  const std::string name = lose(me);
  me.quiet();
  const std::string_view nodes[] = {name};
  me.command([&] { CHECK(me.node.query(me.now, {.name = "q", .nodes = nodes}, me.out()) != 0); });
  REQUIRE(me.queries.size() == 1);  // For us, and from us.
  CHECK(me.queries[0].source == name);
  me.command([&] { CHECK(me.node.respond(me.now, me.queries[0].ref, as_bytes("yes"), me.out())); });
  REQUIRE(answers(me).size() == 1);
  CHECK(answers(me)[0].from == name);
  // Whose the old name is, is for us to judge now.
  me.forget();
  me.hear(user(test::query({.id = 9, .name = "_serf_conflict", .payload = "me"})));
  REQUIRE(answers(me).size() == 1);
  CHECK(test::to_hex(as_bytes(answers(me)[0].payload)) == "06c0");
  me.forget();
  me.hear(user(test::query({.id = 10, .name = "_serf_conflict", .payload = name})));
  CHECK(answers(me).empty());
  const Memory state = me.exchange(test::push_pull({}));
  const std::string text(as_text(state));
  CHECK(text.find(name) != std::string::npos);
  CHECK(text.find("\xa2me") == std::string::npos);
  // A leave intent about the old name is not ours to contradict; one about the new name is.
  me.quiet();
  me.hear(user(encoded(wire::LeaveIntent{90, "me", false})));
  CHECK(only(me.told(), "01").empty());
  me.hear(user(encoded(wire::LeaveIntent{95, name, false})));
  CHECK(only(me.told(), "01").size() == 1);
  CHECK(me.status(name) == "alive");
}

TEST_CASE("a join intent in the old name that still waits is taken back: it is another's name") {
  LoneNode me;
  const Ballot ballot = open_ballot(me);
  say(me, ballot, "judge", names(peer(kOther)));
  me.hear(user(encoded(wire::LeaveIntent{50, "me", false})));  // Contradicted with a join intent in our name.
  settle(me);
  const Lines told = only(me.told(), "01");
  REQUIRE(told.size() == 1);
  CHECK(told[0].find(test::to_hex(as_bytes(me.node.name()))) != std::string::npos);
}

TEST_CASE("probing goes on after the rename, and a leave is in the new name") {
  LoneNode me;
  me.know("b", 2);
  const std::string name = lose(me);
  me.forget();
  me.run_for(3s);
  bool pinged = false;
  for (const LoneNode::Sent& packet : me.sent) {
    pinged = pinged || (packet.to == peer(2) && packet.parts[0].starts_with("ping"));
  }
  CHECK(pinged);
  me.command([&] { me.node.leave(me.now, me.out()); });
  me.run_for(10s);
  CHECK(me.left);
  CHECK(me.status(name) == "left");
}

TEST_CASE("a table full of the living has room for us under the new name") {
  NodeOptions options = LoneNode::options();
  options.swim.members_max = 4;
  LoneNode me({}, options);
  for (std::uint8_t host = 2; host <= 4; ++host) me.know("n" + std::to_string(host), host);
  const std::string name = lose(me);
  CHECK(me.status(name) == "alive");
  CHECK(me.node.members().size() == 4);
  CHECK(me.node.swim().members().size() == 4);
  CHECK(me.events == Lines{"reap me", "join " + name});
  CHECK(me.node.counters().members_refused == 0);
}

TEST_CASE("a name of 255 bytes gives way to another of 255") {
  const std::string old(255, 'x');
  NodeOptions options = LoneNode::options();
  REQUIRE(options.swim.name.assign(old));
  LoneNode me({}, options);
  const std::string name = lose(me);
  CHECK(name.size() == 255);
  CHECK(name.starts_with(old.substr(0, 249) + "-"));
  CHECK(me.status(name) == "alive");
  CHECK(me.ask().size() >= 2);  // It can be gossiped.
}

TEST_CASE("a new name that is somebody's already is not taken") {
  std::string first;
  {
    LoneNode me;
    first = lose(me);
  }
  LoneNode me;  // With the same chance.
  me.know(first, 7);
  const std::string name = lose(me);
  CHECK(name != first);
  CHECK(me.status(first) == "alive");
  CHECK(me.node.members().get(first)->endpoint() == peer(7));
}

TEST_CASE("a new name may be lost as well, a minute later") {
  LoneNode me;
  const std::string first = lose(me);
  me.quiet();
  me.run_for(61s);
  me.quiet();
  const std::string second = lose(me);
  CHECK(second.starts_with("me-"));
  CHECK(second != first);
  CHECK(me.renames == Lines{first + " " + second});
}

// ---- As a judge

TEST_CASE("asked whose a name is we answer with all we know of it, with nothing for strangers, and not for our own") {
  LoneNode me;
  const Memory meta = LoneNode::encode_tags({{"role", "task"}});
  me.hear(test::alive({1, "b", peer(2), std::string(as_text(meta))}));
  me.quiet();
  me.hear(user(test::query({.id = 5, .flags = wire::kQueryFlagAck, .name = "_serf_conflict", .payload = "b"})));
  CHECK(me.queries.empty());
  REQUIRE(answers(me).size() == 2);  // The ack first.
  const std::string payload = answers(me)[1].payload;
  CHECK(test::to_hex(as_bytes(payload)) ==
        "068ba441646472a40a000002ab44656c656761746543757205ab44656c65676174654d617805ab44656c65676174654d696e02"
        "a44e616d65a162a4506f7274cd1f0aab50726f746f636f6c43757202ab50726f746f636f6c4d617805ab50726f746f636f6c4d696e01"
        "a653746174757301a45461677381a4726f6c65a47461736b");
  me.forget();
  me.hear(user(test::query({.id = 6, .name = "_serf_conflict", .payload = "nobody"})));
  REQUIRE(answers(me).size() == 1);
  CHECK(test::to_hex(as_bytes(answers(me)[0].payload)) == "06c0");
  me.forget();
  me.hear(user(test::query({.id = 7, .flags = wire::kQueryFlagAck, .name = "_serf_conflict", .payload = "me"})));
  REQUIRE(answers(me).size() == 1);
  CHECK(answers(me)[0].flags == wire::kResponseFlagAck);
}

TEST_CASE("a member with tags that are none, or too many for an answer, is no harm to who is asked") {
  LoneNode me;
  me.hear(test::alive({1, "broken", peer(2), "\xff\x81"}));
  me.hear(test::alive({1, "plain", peer(3), "web"}));
  me.hear(test::alive({1, std::string(255, 'l'), peer(4), std::string(512, 'm')}));
  me.quiet();
  me.hear(user(test::query({.id = 5, .name = "_serf_conflict", .payload = "broken"})));
  me.hear(user(test::query({.id = 6, .name = "_serf_conflict", .payload = std::string(255, 'l')})));
  me.hear(user(test::query({.id = 7, .name = "_serf_conflict", .payload = ""})));
  me.forget();
  me.hear(user(test::query({.id = 8, .name = "_serf_conflict", .payload = "plain"})));
  REQUIRE(answers(me).size() == 1);
  CHECK(answers(me)[0].payload.find("web") != std::string::npos);
  CHECK(me.status("me") == "alive");
}

// ---- A name that has no incarnation left

TEST_CASE(
    "news about us with the last incarnation there is cannot be contradicted under our name: we go on under another") {
  constexpr std::uint32_t kLast = 0xffffffff;
  struct {
    const char* what;
    Memory message;
  } const rows[] = {{"a suspicion", test::suspect(kLast, "me", "b")},
                    {"a death", test::dead(kLast, "me", "b")},
                    {"an alive with tags that are not ours", test::alive({kLast, "me", peer(1), "forged"})}};
  for (const auto& row : rows) {
    CAPTURE(row.what);
    LoneNode me(test::Tags{{"role", "task"}});
    me.know("b", 2);
    me.hear(row.message);
    REQUIRE(me.renames.size() == 1);
    const std::string name(me.node.name());
    CHECK(me.renames == Lines{"me " + name});
    CHECK(me.status(name) == "alive");
    CHECK(me.status("me") == "unknown");
    CHECK(only(me.ask(), "alive 2 " + name).size() == 1);
    CHECK(wire::tag_value(me.node.swim().self().meta(), "role") == "task");
    me.hear(row.message);  // Nobody of ours any more.
    CHECK(me.node.name() == name);
    me.hear(test::suspect(2, name, "b"));
    CHECK(only(me.ask(), "alive 3 " + name).size() == 1);
  }
}

TEST_CASE("the last incarnation can be ours, and what we have to say after it we say under another name") {
  constexpr std::uint32_t kLast = 0xffffffff;
  LoneNode me;
  me.know("b", 2);
  me.hear(test::suspect(kLast - 1, "me", "b"));
  CHECK(me.renames.empty());
  CHECK(only(me.ask(), "alive 4294967295 me").size() == 1);
  const Memory meta = LoneNode::encode_tags({{"state", "ready"}});
  me.command([&] { me.node.set_meta(me.now, meta, me.out()); });
  REQUIRE(me.renames.size() == 1);
  const std::string name(me.node.name());
  CHECK(only(me.ask(), "alive 1 " + name + " 10.0.0.1:7946 meta " + test::to_hex(meta)).size() == 1);
  CHECK(me.status(name) == "alive");
}

TEST_CASE("who leaves does not take another name for it") {
  LoneNode me;
  me.know("b", 2);
  me.command([&] { me.node.leave(me.now, me.out()); });
  me.hear(test::suspect(0xffffffff, "me", "b"));
  CHECK(me.renames.empty());
  me.run_for(10s);
  CHECK(me.left);
}

}  // namespace
}  // namespace shoal::serf
