// Answers: each query's once, and once more by way of other members for an asker that wants it so.
#include <doctest/doctest.h>

#include <algorithm>

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

struct Relayed {
  Endpoint helper, to;
  std::string name;
  Memory message;
};
std::vector<Relayed> relays(const LoneNode& me) {
  std::vector<Relayed> out;
  for (const LoneNode::Sent& packet : me.sent) {
    for (const std::string& part : only(packet.parts, "user 09")) {
      const Memory bytes = test::from_hex(part.substr(5));
      wire::Relay r;
      REQUIRE(wire::decode(Bytes(bytes).subspan(1), r));
      const auto ip = IpAddress::from_raw(r.dest_ip);
      REQUIRE(ip);
      CHECK(packet.parts.size() == 1);
      CHECK_FALSE(test::has_crc(packet.bytes));
      CHECK(bytes.size() <= 1024);
      out.push_back(
          {packet.to, {*ip, r.dest_port}, std::string(r.dest_name), Memory(r.message.begin(), r.message.end())});
    }
  }
  return out;
}

/// A node that knows `others` others, at hosts 2 and up.
NodeOptions roomy() {
  NodeOptions out = LoneNode::options();
  out.swim.members_max = 512;
  return out;
}
void fill(LoneNode& me, int others) {
  for (int i = 0; i < others; ++i) {
    me.hear(test::alive(
        {1,
         "n" + std::to_string(i + 2),
         {IpAddress::v4(10, 0, static_cast<std::uint8_t>((i + 2) / 256), static_cast<std::uint8_t>((i + 2) % 256)),
          7946}}));
  }
  me.quiet();
}

TEST_CASE("an answer goes straight to the asker, and by way of as many others as it asks for, each another") {
  struct {
    int others;
    std::uint8_t factor;
    std::size_t relayed;
  } const rows[] = {
      {9, 0, 0},   {9, 1, 1},     {9, 3, 3},      {4, 5, 0},  // Five in all: serf wants more members than the factor.
      {5, 5, 4},                                              // Six in all, but neither we nor the asker are helpers.
      {9, 255, 0}, {300, 20, 16}, {300, 255, 16},
  };
  for (const auto& row : rows) {
    CAPTURE(row.others);
    CAPTURE(static_cast<int>(row.factor));
    LoneNode me({}, roomy());
    fill(me, row.others);
    me.hear(user(test::query({.ltime = 4, .id = 9, .reply_to = peer(2), .relay_factor = row.factor})));
    REQUIRE(me.queries.size() == 1);
    me.command([&] { CHECK(me.node.respond(me.now, me.queries[0].ref, as_bytes("yes"), me.out())); });
    REQUIRE(answers(me).size() == 1);
    CHECK(answers(me)[0].to == peer(2));
    std::vector<Relayed> sent = relays(me);
    CHECK(sent.size() == row.relayed);
    Lines helpers;
    for (const Relayed& relay : sent) {
      CHECK(relay.to == peer(2));
      CHECK(relay.name == "n2");
      CHECK(relay.message == encoded(wire::QueryResponse{4, 9, "me", 0, as_bytes("yes")}));
      CHECK(relay.helper != peer(1));
      CHECK(relay.helper != peer(2));
      helpers.emplace_back(to_text(relay.helper).view());
    }
    std::sort(helpers.begin(), helpers.end());
    CHECK(std::unique(helpers.begin(), helpers.end()) == helpers.end());
  }
}

TEST_CASE("acks and answers to serf's own queries are relayed as well; for an asker that is no member it has no name") {
  LoneNode me;
  fill(me, 5);
  me.hear(
      user(test::query({.reply_to = peer(77), .flags = wire::kQueryFlagAck, .relay_factor = 2, .name = "_serf_ping"})));
  CHECK(answers(me).size() == 1);
  REQUIRE(relays(me).size() == 2);
  CHECK(relays(me)[0].name.empty());
  CHECK(relays(me)[0].to == peer(77));
  me.forget();
  me.hear(
      user(test::query({.id = 2, .reply_to = peer(77), .relay_factor = 2, .name = "_serf_conflict", .payload = "n2"})));
  CHECK(answers(me).size() == 1);
  CHECK(relays(me).size() == 2);
}

TEST_CASE("only living members that know of relays help") {
  LoneNode me;
  fill(me, 6);  // n2 .. n7
  Memory vsn(test::kVersionBytes, test::kVersionBytes + 6);
  vsn[1] = 4;
  me.hear(test::alive({2, "n3", peer(3), "meta", vsn}));
  me.hear(test::dead(1, "n4", "x"));
  me.hear(user(encoded(wire::LeaveIntent{5, "n5", false})));
  me.hear(user(encoded(wire::LeaveIntent{6, "n6", false})));
  me.hear(test::dead(1, "n6", "n6"));
  me.quiet();
  for (std::uint32_t id = 1; id < 20; ++id) {
    me.forget();
    me.hear(user(test::query({.id = id, .reply_to = peer(2), .flags = wire::kQueryFlagAck, .relay_factor = 3})));
    const std::vector<Relayed> sent = relays(me);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].helper == peer(7));
  }
}

TEST_CASE("an answer that is too large to be relayed goes straight alone") {
  LoneNode me;
  fill(me, 5);
  std::size_t straight = 0, relayed = 0;
  for (std::size_t size = 800; size < 1000; ++size) {
    me.forget();
    me.hear(user(
        test::query({.ltime = 4, .id = static_cast<std::uint32_t>(size), .reply_to = peer(2), .relay_factor = 1})));
    REQUIRE(me.queries.size() == 1);
    const std::string payload(size, 'x');
    bool sent = false;
    me.command([&] { sent = me.node.respond(me.now, me.queries[0].ref, as_bytes(payload), me.out()); });
    CHECK(answers(me).size() == (sent ? 1 : 0));
    if (sent) straight = size;
    if (!relays(me).empty()) relayed = size;
  }
  CHECK(straight > relayed + 40);
  CHECK(relayed > 850);
}

TEST_CASE("an answer over TCP is not relayed") {
  LoneNode me;
  fill(me, 5);
  const Memory bytes = test::query({.reply_to = peer(2), .flags = wire::kQueryFlagNoBroadcast, .relay_factor = 2});
  me.exchange(test::joined({encoded(wire::UserHeader{static_cast<std::uint32_t>(bytes.size())}), bytes}));
  REQUIRE(me.queries.size() == 1);
  me.forget();
  me.command([&] { CHECK(me.node.respond(me.now, me.queries[0].ref, as_bytes("yes"), me.out())); });
  CHECK(me.sent.empty());
}

TEST_CASE("our own query asks for as many relays as it is told to, and an answer that comes both ways counts once") {
  LoneNode me;
  fill(me, 5);
  QueryToken token = 0;
  me.command([&] { token = me.node.query(me.now, {.name = "q", .relay_factor = 3}, me.out()); });
  const Memory bytes = test::from_hex(only(me.told(), "04").at(0));
  wire::Query query;
  REQUIRE(wire::decode(Bytes(bytes).subspan(1), query));
  CHECK(query.relay_factor == 3);
  me.forget();
  for (const std::uint8_t host : {std::uint8_t{2}, std::uint8_t{3}, std::uint8_t{4}}) {
    me.hear(user(encoded(wire::QueryResponse{query.ltime, query.id, "n2", 0, as_bytes("yes")})), peer(host));
  }
  REQUIRE(me.responses.size() == 1);
  CHECK(me.responses[0].token == token);
}

// ---- As a helper

Memory relay_to(const Endpoint& to, Bytes message) {
  return encoded(wire::Relay{to.addr.raw(), to.port, "whoever", message});
}

TEST_CASE("an answer for a member goes on to it as it is, once, and is not gossiped") {
  LoneNode me;
  fill(me, 3);
  const Memory answer = encoded(wire::QueryResponse{4, 9, "n3", 0, as_bytes("yes")});
  me.hear(user(relay_to(peer(2), answer)), peer(3));
  REQUIRE(me.sent.size() == 1);
  CHECK(me.sent[0].to == peer(2));
  CHECK(me.sent[0].parts == Lines{"user " + test::to_hex(answer)});
  CHECK(me.told() == Lines{});
  CHECK(me.node.counters().relays_refused == 0);
}

TEST_CASE("nothing but an answer is sent on, only to members, and of no more than 1024 bytes") {
  const Memory answer = encoded(wire::QueryResponse{4, 9, "n3", 0, as_bytes("yes")});
  Memory longest(1024, 0), longer(1025, 0);
  longest[0] = longer[0] = 5;
  struct {
    const char* what;
    Memory relay;
    bool sent;
  } const rows[] = {
      {"an answer", relay_to(peer(2), answer), true},
      {"the longest", relay_to(peer(2), longest), true},
      {"a longer one", relay_to(peer(2), longer), false},
      {"to no member", relay_to(peer(77), answer), false},
      {"to a member's address, but another port", relay_to(peer(2, 53), answer), false},
      {"to port 0", relay_to(peer(2, 0), answer), false},
      {"nothing", relay_to(peer(2), {}), false},
      {"a query", relay_to(peer(2), test::query({})), false},
      {"a user event", relay_to(peer(2), encoded(wire::UserEvent{4, "e"})), false},
      {"a leave intent", relay_to(peer(2), encoded(wire::LeaveIntent{4, "n2", true})), false},
      {"a relay", relay_to(peer(2), relay_to(peer(3), answer)), false},
      {"a relay to us", relay_to(peer(1), relay_to(peer(1), answer)), false},
      {"to no address", encoded(wire::Relay{as_bytes("12345"), 7946, "", answer}), false},
      {"to nobody", encoded(wire::Relay{{}, 7946, "n2", answer}), false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    LoneNode me;
    fill(me, 3);
    me.hear(user(row.relay));
    CHECK(me.sent.size() == (row.sent ? 1 : 0));
    CHECK(me.node.counters().relays_refused == (row.sent ? 0 : 1));
    CHECK(me.told() == Lines{});
  }
}

TEST_CASE("an answer for ourselves by way of ourselves goes round once and no more") {
  LoneNode me;
  fill(me, 3);
  const Memory answer = encoded(wire::QueryResponse{4, 9, "n3", 0, as_bytes("yes")});
  me.hear(user(relay_to(peer(1), answer)));
  REQUIRE(me.sent.size() == 1);
  CHECK(me.sent[0].to == peer(1));
  const Memory back = me.sent[0].bytes;
  me.forget();
  me.hear(back, peer(1));
  CHECK(me.sent.empty());
}

TEST_CASE("broken relays are counted and send nothing") {
  LoneNode me;
  fill(me, 3);
  for (const std::string_view hex : {"09", "09c1", "0982a844657374", "0990", "0981a84465737441646472c0"}) {
    me.hear(user(test::from_hex(hex)));
  }
  CHECK(me.sent.empty());
  CHECK(me.node.counters().malformed + me.node.counters().relays_refused == 5);
}

// ---- Once

TEST_CASE("a query is answered once; an answer that was too large may be followed by a shorter one") {
  LoneNode me;
  me.hear(user(test::query({.ltime = 4, .id = 1})));
  me.hear(user(test::query({.ltime = 4, .id = 2})));
  me.hear(user(test::query({.ltime = 5, .id = 1})));
  REQUIRE(me.queries.size() == 3);
  const std::vector<LoneNode::Query> asked = me.queries;
  const auto respond = [&me](const QueryRef& ref, std::string_view payload) {
    bool sent = false;
    me.command([&] { sent = me.node.respond(me.now, ref, as_bytes(payload), me.out()); });
    return sent;
  };
  CHECK_FALSE(respond(asked[0].ref, std::string(1100, 'x')));
  CHECK(respond(asked[0].ref, "yes"));
  CHECK_FALSE(respond(asked[0].ref, "yes"));
  CHECK(respond(asked[1].ref, "yes"));
  CHECK(respond(asked[2].ref, ""));
  CHECK_FALSE(respond(asked[2].ref, "yes"));
  CHECK(answers(me).size() == 3);
}

}  // namespace
}  // namespace shoal::serf
