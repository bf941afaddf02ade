// Queries from both ends: who handles them, who answers, where to, and what is passed on.
#include "serf/queries.h"

#include <doctest/doctest.h>

#include <chrono>

#include "serf/node.h"
#include "support/lone_node.h"
#include "wire/msgpack.h"

namespace shoal::serf {
namespace {

using test::Answer;
using test::answers;
using test::encoded;
using test::Lines;
using test::LoneNode;
using test::Memory;
using test::only;
using test::peer;
using test::query;
using test::user;
namespace msgpack = wire::msgpack;

// ---- Filters

Memory tag_blob(std::string_view tag, std::string_view expr) {
  Memory memory(256);
  ByteWriter out(memory);
  out.u8(1);
  msgpack::put_map(out, 2);
  msgpack::put_text(out, "Expr", expr);
  msgpack::put_text(out, "Tag", tag);
  memory.resize(out.size());
  return memory;
}
Memory node_blob(const std::vector<std::string>& names) {
  Memory memory(256);
  ByteWriter out(memory);
  out.u8(0);
  msgpack::put_array(out, static_cast<std::uint32_t>(names.size()));
  for (const std::string& name : names) msgpack::put_text(out, name);
  memory.resize(out.size());
  return memory;
}
Memory filters(const std::vector<Memory>& blobs) {
  Memory memory(2048);
  ByteWriter out(memory);
  msgpack::put_array(out, static_cast<std::uint32_t>(blobs.size()));
  for (const Memory& blob : blobs) {
    msgpack::put_raw_header(out, static_cast<std::uint32_t>(blob.size()));
    out.put(blob);
  }
  memory.resize(out.size());
  return memory;
}

TEST_CASE("filters that cost much are looked at in bounded time, and plain ones always") {
  LoneNode me(test::Tags{{"role", "task"}});
  // Each costs RE2 milliseconds, and matches.
  const Memory costly = filters(std::vector<Memory>(40, tag_blob("zone", "\\pL|\\PN|")));
  REQUIRE(costly.size() < 1300);
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint32_t i = 0; i < 500; ++i) me.hear(user(query({.ltime = 1, .id = i, .filters = costly})));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));  // 12 s, were all compiled.
  CHECK(me.node.counters().filters_refused >= 490);
  me.forget();
  me.hear(user(query({.ltime = 1, .id = 1000, .filters = filters({tag_blob("role", "^task$")})})));
  CHECK(me.queries.empty());
  me.hear(user(query({.ltime = 1, .id = 1001, .filters = filters({tag_blob("role", "task")})})));
  CHECK(me.queries.size() == 1);
  me.run_for(1s);
  me.hear(user(query({.ltime = 1, .id = 1002, .filters = filters({tag_blob("role", "^task$")})})));
  CHECK(me.queries.size() == 2);
}

TEST_CASE("a query that could not be gossiped is none: nobody sends so long a one") {
  LoneNode me(test::Tags{{"role", "task"}});
  const Memory fits = query({.id = 1, .payload = std::string(1000, 'x')});
  me.hear(user(fits));
  CHECK(me.queries.size() == 1);
  me.hear(user(query({.id = 2, .payload = std::string(1400, 'x')})));
  CHECK(me.queries.size() == 1);
  CHECK(me.node.counters().malformed == 1);
}

TEST_CASE("a query is for us when every filter lets us pass") {
  const Memory task = tag_blob("role", "task");
  struct {
    const char* what;
    std::vector<Memory> blobs;
    bool match;
  } const rows[] = {
      {"none", {}, true},
      {"our role", {task}, true},
      {"part of our role", {tag_blob("role", "as")}, true},
      {"another role", {tag_blob("role", "side")}, false},
      {"an empty tag that we do not have", {tag_blob("zone", "^$")}, true},
      {"anything in a tag that we do not have", {tag_blob("zone", ".*")}, true},
      {"something in a tag that we do not have", {tag_blob("zone", ".")}, false},
      {"an empty role", {tag_blob("role", "^$")}, false},
      {"one of two", {tag_blob("role", "side|task")}, true},
      {"none of two", {tag_blob("role", "side|load")}, false},
      {"in any case of letters", {tag_blob("role", "(?i)TASK")}, true},
      {"in another case of letters", {tag_blob("role", "TASK")}, false},
      {"an invalid expression", {tag_blob("role", "(task")}, false},
      {"our name", {node_blob({"me"})}, true},
      {"our name among others", {node_blob({"a", "me", "b"})}, true},
      {"the names of others", {node_blob({"a", "b", "mee"})}, false},
      {"no name at all", {node_blob({})}, false},
      {"two that match", {task, node_blob({"me"})}, true},
      {"the second does not", {task, node_blob({"you"})}, false},
      {"the first does not", {node_blob({"you"}), task}, false},
      {"an empty blob", {{}}, false},
      {"an empty blob behind a good one", {task, {}}, false},
      {"a blob of a type that nobody knows", {{7, 0x80}}, false},
      {"a broken blob", {{1, 0xc1}}, false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    LoneNode me(test::Tags{{"role", "task"}, {"state", "ready"}});
    const Memory bytes = query({.filters = filters(row.blobs), .flags = wire::kQueryFlagAck});
    me.hear(user(bytes));
    CHECK(me.queries.size() == (row.match ? 1 : 0));
    // An ack comes from those alone who are meant; all pass on the very bytes.
    CHECK(me.sent.size() == (row.match ? 1 : 0));
    CHECK(me.told() == Lines{test::to_hex(bytes)});
  }
}

TEST_CASE("filters that are no list of blobs let nobody pass") {
  for (const std::string_view hex : {"9101", "920100", "91c2", "9180", "01", "8101c0"}) {
    CAPTURE(hex);
    LoneNode me;
    me.hear(user(query({.filters = test::from_hex(hex)})));
    CHECK(me.queries.empty());
  }
}

// ---- Receiving

TEST_CASE("a query reaches us with its name, asker, payload and deadline") {
  LoneNode me;
  me.run_for(1s);
  me.hear(user(query({.ltime = 9, .id = 4711, .timeout = 3s, .name = "announce", .payload = "p"})));
  REQUIRE(me.queries.size() == 1);
  CHECK(me.queries[0].name == "announce");
  CHECK(me.queries[0].source == "asker");
  CHECK(me.queries[0].payload == "p");
  CHECK(me.queries[0].ref.ltime == 9);
  CHECK(me.queries[0].ref.id == 4711);
  CHECK(me.queries[0].ref.reply_to == peer(9));
  CHECK(me.queries[0].ref.deadline == me.now + 3s);
  CHECK_FALSE(me.queries[0].ref.via_stream);
}

TEST_CASE("a query with the flag against it is handled but not passed on") {
  LoneNode me;
  me.hear(user(query({.flags = wire::kQueryFlagNoBroadcast})));
  CHECK(me.queries.size() == 1);
  CHECK(me.told() == Lines{});
}

TEST_CASE("ack and answer go to the address in the query, wherever the datagram came from, alone in theirs") {
  LoneNode me;
  me.know("b", 2);
  me.hear(user(query({.ltime = 9, .id = 4711, .reply_to = peer(44, 4444), .flags = wire::kQueryFlagAck})), peer(99));
  REQUIRE(me.queries.size() == 1);
  me.command([&] { CHECK(me.node.respond(me.now, me.queries[0].ref, as_bytes("yes"), me.out())); });
  const std::vector<Answer> sent = answers(me);
  REQUIRE(sent.size() == 2);
  for (const Answer& answer : sent) {
    CHECK(answer.to == peer(44, 4444));
    CHECK(answer.ltime == 9);
    CHECK(answer.id == 4711);
    CHECK(answer.from == "me");
    CHECK(answer.parts == 1);
    CHECK_FALSE(answer.crc);
  }
  CHECK(sent[0].flags == wire::kResponseFlagAck);
  CHECK(sent[0].payload.empty());
  CHECK(sent[1].flags == 0);
  CHECK(sent[1].payload == "yes");
}

TEST_CASE("one query is handled once, by time and ID, however often and from wherever it comes") {
  LoneNode me;
  me.hear(user(query({.ltime = 5, .id = 1})));
  for (std::uint8_t from = 2; from < 9; ++from) me.hear(user(query({.ltime = 5, .id = 1})), peer(from));
  CHECK(me.queries.size() == 1);
  CHECK(me.node.counters().queries_repeated == 7);
  CHECK(me.told().size() == 1);
  me.hear(user(query({.ltime = 5, .id = 2})));
  me.hear(user(query({.ltime = 6, .id = 1})));
  CHECK(me.queries.size() == 3);
}

TEST_CASE("even the query of time 0 and ID 0 is handled, once") {
  LoneNode me;
  me.hear(user(query({.ltime = 0, .id = 0})));
  me.hear(user(query({.ltime = 0, .id = 0})));
  CHECK(me.queries.size() == 1);
}

TEST_CASE("a query more than 512 behind the clock is dropped, counted and not passed on") {
  LoneNode me;
  me.hear(user(query({.ltime = 1000, .id = 1})));
  me.quiet();
  CHECK(me.node.query_clock() == 1001);
  me.hear(user(query({.ltime = 489, .id = 2})));  // Just within.
  CHECK(me.queries.size() == 1);
  me.quiet();
  me.hear(user(query({.ltime = 488, .id = 3})));
  CHECK(me.queries.empty());
  CHECK(me.node.counters().queries_old == 1);
  CHECK(me.told() == Lines{});
}

TEST_CASE("while the clock is not beyond 512 nothing is too old") {
  LoneNode me;
  me.hear(user(query({.ltime = 511, .id = 1})));
  me.hear(user(query({.ltime = 0, .id = 2})));
  CHECK(me.queries.size() == 2);
}

TEST_CASE("a direct query neither moves the clock nor is judged by it") {
  LoneNode me;
  me.hear(user(query({.ltime = 1000, .id = 1})));
  me.hear(user(query({.ltime = 5000, .id = 2, .flags = wire::kQueryFlagNoBroadcast})));
  CHECK(me.node.query_clock() == 1001);
  me.hear(user(query({.ltime = 3, .id = 3, .flags = wire::kQueryFlagNoBroadcast})));
  CHECK(me.queries.size() == 3);
  CHECK(me.node.query_clock() == 1001);
  CHECK(me.node.counters().queries_old == 0);
}

TEST_CASE("serf's own ping wants an ack alone; queries of its other names reach nobody") {
  LoneNode me;
  me.hear(user(query({.id = 1, .flags = wire::kQueryFlagAck, .name = "_serf_ping"})));
  CHECK(me.queries.empty());
  CHECK(answers(me).size() == 1);
  me.hear(user(query({.id = 2, .name = "_serf_list-keys"})));
  CHECK(me.queries.empty());
}

TEST_CASE("a query that nobody could answer, or with a name beyond all use, is counted and not handled") {
  LoneNode me;
  me.hear(user(query({.id = 1, .reply_to = peer(9, 0)})));
  me.hear(user(query({.id = 2, .name = std::string(129, 'q')})));
  me.hear(user(query({.id = 3, .source = std::string(256, 's')})));
  me.hear(user(query({.id = 4, .payload = std::string(1025, 'p')})));
  CHECK(me.queries.empty());
  CHECK(me.node.counters().malformed == 4);
}

TEST_CASE("a timeout that is negative or for ever is kept within sense") {
  LoneNode me;
  me.hear(user(query({.id = 1, .timeout = Duration(-5)})));
  me.hear(user(query({.id = 2, .timeout = Duration::max()})));
  REQUIRE(me.queries.size() == 2);
  CHECK(me.queries[0].ref.deadline == me.now);
  CHECK(me.queries[1].ref.deadline == me.now + 10min);
}

TEST_CASE("more queries in one datagram than the outbox holds are dropped and counted, not fatal") {
  LoneNode me;
  wire::PacketSealer sealer(false);
  sealer.begin();
  std::uint32_t id = 0;
  Memory datagram(64 * 1024);
  ByteWriter compound(datagram);
  compound.u8(7);
  compound.u8(100);
  std::vector<Memory> parts;
  while (parts.size() < 100) parts.push_back(user(query({.id = ++id, .flags = wire::kQueryFlagAck})));
  for (const Memory& part : parts) compound.u16(static_cast<std::uint16_t>(part.size()));
  for (const Memory& part : parts) compound.put(part);
  me.hear(compound.written());
  CHECK(me.queries.size() == Outbox::kQueriesMax);
  CHECK(me.out().dropped == 36);
  CHECK(answers(me).size() == 100);
}

// ---- Answering

TEST_CASE("an answer may have 1024 bytes with all that is around it, and not one more") {
  LoneNode me;
  me.hear(user(query({.ltime = 5, .id = 70'000, .timeout = 5s})));
  REQUIRE(me.queries.size() == 1);
  const auto size_with = [](std::size_t payload) {
    const std::string text(payload, 'x');
    return encoded(wire::QueryResponse{5, 70'000, "me", 0, as_bytes(text)}).size();
  };
  std::size_t payload = 0;
  while (size_with(payload) < 1024) ++payload;
  REQUIRE(size_with(payload) == 1024);
  struct {
    std::size_t size;
    bool sent;
  } const rows[] = {{payload - 1, true}, {payload, true}, {payload + 1, false}};
  for (const auto& row : rows) {
    CAPTURE(row.size);
    me.forget();
    const std::string text(row.size, 'x');
    bool sent = false;
    LoneNode other;
    const QueryRef ref{.ltime = 5, .id = 70'000, .reply_to = peer(9), .via_stream = false, .deadline = other.now + 5s};
    other.command([&] { sent = other.node.respond(other.now, ref, as_bytes(text), other.out()); });
    CHECK(sent == row.sent);
    CHECK(other.sent.size() == (row.sent ? 1 : 0));
  }
}

TEST_CASE("an answer after the deadline is not sent") {
  LoneNode me;
  me.hear(user(query({.timeout = 1s})));
  const QueryRef ref = me.queries.at(0).ref;
  me.now += 1001ms;
  me.forget();
  me.command([&] { CHECK_FALSE(me.node.respond(me.now, ref, as_bytes("late"), me.out())); });
  CHECK(answers(me).empty());
}

TEST_CASE("a query over TCP is answered over TCP, to its address") {
  LoneNode me;
  const Memory bytes = query({.id = 5, .reply_to = peer(44, 4444), .flags = wire::kQueryFlagNoBroadcast});
  me.exchange(test::joined({encoded(wire::UserHeader{static_cast<std::uint32_t>(bytes.size())}), bytes}));
  REQUIRE(me.queries.size() == 1);
  CHECK(me.queries[0].ref.via_stream);
  me.forget();
  me.command([&] { CHECK(me.node.respond(me.now, me.queries[0].ref, as_bytes("yes"), me.out())); });
  CHECK(me.sent.empty());
  REQUIRE(me.connects.size() == 1);
  CHECK(me.connects.begin()->second == peer(44, 4444));
}

// ---- Asking

struct Asked {
  QueryToken token = 0;
  wire::Query query;
  Memory bytes;
};
Asked ask_all(LoneNode& me, const QueryParams& params) {
  Asked out;
  me.command([&] { out.token = me.node.query(me.now, params, me.out()); });
  const Lines told = me.told();
  REQUIRE(told.size() == 1);
  out.bytes = test::from_hex(told[0]);
  REQUIRE(wire::decode(Bytes(out.bytes).subspan(1), out.query));
  return out;
}
void answer(LoneNode& me, std::uint64_t ltime, std::uint32_t id, std::string_view from, std::string_view payload,
            std::uint32_t flags = 0) {
  me.hear(user(encoded(wire::QueryResponse{ltime, id, from, flags, as_bytes(payload)})));
}

TEST_CASE("our query goes out at the query time, which it advances, with our address and serf's own deadline") {
  LoneNode me;
  me.hear(user(query({.ltime = 40, .id = 9})));
  me.quiet();
  const Asked asked = ask_all(me, {.name = "q", .payload = as_bytes("p")});
  CHECK(asked.token != 0);
  CHECK(asked.query.ltime == 41);
  CHECK(me.node.query_clock() == 42);
  CHECK(asked.query.name == "q");
  CHECK(asked.query.source_node == "me");
  CHECK(asked.query.port == 7946);
  CHECK(test::text_of(asked.query.addr, asked.query.port) == "10.0.0.1:7946");
  CHECK(asked.query.timeout_ns == 3'200'000'000);
  CHECK(asked.query.flags == 0);
  CHECK(me.queries.size() == 1);  // We are in the cluster too.
}

TEST_CASE("serf's default for a query's time is 3.2 s for up to 9 members and 6.4 s for up to 99") {
  LoneNode me;
  for (std::uint8_t host = 2; host <= 9; ++host) me.know("n" + std::to_string(host), host);
  CHECK(me.node.default_query_timeout() == 3200ms);
  me.know("n10", 10);
  CHECK(me.node.default_query_timeout() == 6400ms);
}

TEST_CASE("answers find their query by time and ID; others, and those of another time or ID, are nothing") {
  LoneNode me;
  const Asked asked = ask_all(me, {.name = "q"});
  me.forget();
  answer(me, asked.query.ltime + 1, asked.query.id, "b", "no");
  answer(me, asked.query.ltime, asked.query.id + 1, "b", "no");
  CHECK(me.responses.empty());
  answer(me, asked.query.ltime, asked.query.id, "b", "yes");
  REQUIRE(me.responses.size() == 1);
  CHECK(me.responses[0].token == asked.token);
  CHECK(me.responses[0].from == "b");
  CHECK(me.responses[0].payload == "yes");
  CHECK_FALSE(me.responses[0].ack);
}

TEST_CASE("of each member one ack and one answer count") {
  LoneNode me;
  const Asked asked = ask_all(me, {.name = "q", .ack = true});
  CHECK(asked.query.flags == wire::kQueryFlagAck);
  me.forget();
  for (int i = 0; i < 3; ++i) {
    answer(me, asked.query.ltime, asked.query.id, "b", "", wire::kResponseFlagAck);
    answer(me, asked.query.ltime, asked.query.id, "b", "yes");
    answer(me, asked.query.ltime, asked.query.id, "c", "yes");
  }
  CHECK(me.responses.size() == 3);
}

TEST_CASE("an answer after the query's time is nothing") {
  LoneNode me;
  const Asked asked = ask_all(me, {.name = "q", .timeout = 2s});
  me.now += 2s;
  answer(me, asked.query.ltime, asked.query.id, "b", "in time");
  me.now += 1ms;
  answer(me, asked.query.ltime, asked.query.id, "c", "late");
  REQUIRE(me.responses.size() == 1);
  CHECK(me.responses[0].from == "b");
}

TEST_CASE("a query may have 1024 bytes with all that is around it, and not one more") {
  std::size_t largest = 0;
  for (std::size_t size = 800; size < 1100; ++size) {
    LoneNode me;
    const std::string payload(size, 'x');
    QueryToken token = 0;
    me.command([&] {
      token = me.node.query_direct(me.now, peer(2), Route::kDatagram, {.name = "q", .payload = as_bytes(payload)},
                                   me.out());
    });
    if (token == 0) {
      CHECK(me.sent.empty());
      break;
    }
    REQUIRE(me.sent.size() == 1);
    largest = me.sent[0].bytes.size() - 1;  // Without the user type byte.
    CHECK(largest <= 1024);
  }
  CHECK(largest == 1024);
}

TEST_CASE("a direct query goes to one address with the flag against spreading, at the time that it leaves alone") {
  LoneNode me;
  me.know("b", 2);
  QueryToken token = 0;
  me.command([&] {
    token = me.node.query_direct(me.now, peer(2), Route::kDatagram, {.name = "announce", .payload = as_bytes("p")},
                                 me.out());
  });
  REQUIRE(token != 0);
  REQUIRE(me.sent.size() == 1);
  CHECK(me.sent[0].to == peer(2));
  REQUIRE(me.sent[0].parts.size() == 1);
  const Memory bytes = test::from_hex(me.sent[0].parts[0].substr(5));
  wire::Query sent;
  REQUIRE(wire::decode(Bytes(bytes).subspan(1), sent));
  CHECK(sent.flags == wire::kQueryFlagNoBroadcast);
  CHECK(sent.ltime == 1);
  CHECK(me.node.query_clock() == 1);
  CHECK(me.queries.empty());
  CHECK(me.told() == Lines{});
  answer(me, sent.ltime, sent.id, "b", "yes");
  REQUIRE(me.responses.size() == 1);
  CHECK(me.responses[0].token == token);
}

TEST_CASE("filters of our queries are those that were asked for, and never an empty blob") {
  LoneNode me(test::Tags{{"role", "task"}});
  const wire::TagFilter sides[] = {{"role", "^side$"}};
  const Asked tag = ask_all(me, {.name = "q", .tags = sides});
  CHECK(me.queries.empty());
  wire::FilterReader reader(tag.query.filters);
  REQUIRE(reader.next());
  CHECK(reader.kind() == wire::FilterReader::Kind::kTag);
  CHECK(reader.tag().tag == "role");
  CHECK(reader.tag().expr == "^side$");
  CHECK_FALSE(reader.next());
  me.quiet();
  const std::string_view b[] = {"b"};
  const Asked node = ask_all(me, {.name = "q", .nodes = b});
  CHECK(me.queries.empty());
  wire::FilterReader names(node.query.filters);
  REQUIRE(names.next());
  CHECK(names.names("b"));
  me.quiet();
  CHECK(ask_all(me, {.name = "q"}).query.filters.empty());
}

TEST_CASE("the oldest open query gives way to one too many") {
  OpenQueries open;
  const QueryToken first = open.open(1, 1, Instant{} + 1h);
  const QueryToken second = open.open(2, 2, Instant{} + 1h);
  for (std::uint32_t i = 3; i <= OpenQueries::kOpenMax + 1; ++i) open.open(i, i, Instant{} + 1h);
  CHECK(open.match(1, 1, "b", false, Instant{}) == 0);
  CHECK(open.match(2, 2, "b", false, Instant{}) == second);
  CHECK(first != second);
  open.close(second);
  CHECK(open.match(2, 2, "c", false, Instant{}) == 0);
}

TEST_CASE("of a thousand recent marks each is known, and none that was not given") {
  RecentMarks marks;
  for (std::uint64_t i = 0; i < 1000; ++i) CHECK(marks.insert(i * 7));
  for (std::uint64_t i = 0; i < 1000; ++i) CHECK_FALSE(marks.insert(i * 7));
  CHECK(marks.insert(3));
}

// ---- Passing on

TEST_CASE("user events are passed on as they came, once, unless they are too old") {
  LoneNode me;
  const Memory event = encoded(wire::UserEvent{1000, "deploy", as_bytes("v1"), true});
  me.hear(user(event));
  me.hear(user(event));
  CHECK(me.told() == Lines{test::to_hex(event)});
  me.quiet();
  me.hear(user(event));
  CHECK(me.told() == Lines{});
  me.hear(user(encoded(wire::UserEvent{488, "deploy", as_bytes("v0")})));
  CHECK(me.told() == Lines{});
  me.hear(user(encoded(wire::UserEvent{489, "deploy", as_bytes("v0")})));
  me.hear(user(encoded(wire::UserEvent{1000, "deploy", as_bytes("v2")})));  // Another payload is another event.
  CHECK(me.told().size() == 2);
}

TEST_CASE("three hundred of the tiniest broadcasts go out in datagrams of at most 127 parts, none of them empty") {
  LoneNode me;
  me.know("b", 2);
  // An event as an array of its time alone: three bytes, all that the 127 can be reached with.
  for (std::uint8_t i = 1; i <= 120; ++i) me.hear(user(Memory{3, 0x91, i}));
  for (int i = 128; i < 256; ++i) me.hear(user(Memory{3, 0x91, 0xcc, static_cast<std::uint8_t>(i)}));
  for (int i = 0; i < 52; ++i) me.hear(user(Memory{3, 0x91, 0xcd, 1, static_cast<std::uint8_t>(i)}));
  me.forget();
  me.run_for(5s);
  me.ask();
  std::size_t most = 0, all = 0;
  for (const LoneNode::Sent& packet : me.sent) {
    CHECK(packet.bytes.size() <= 1405);
    CHECK(packet.parts.size() <= 127);
    most = std::max(most, packet.parts.size());
    const test::Opened opened = test::opened(packet.bytes);
    CHECK(opened.fault == wire::PacketFault::kNone);
    CHECK(opened.smallest > 1);
    all += only(packet.parts, "user 03").size();
  }
  CHECK(most == 127);
  CHECK(all == 300 * 4);  // Each as often as the limit for two members.
}

TEST_CASE("intents go before queries, queries before events") {
  LoneNode me;
  const Memory event =
      encoded(wire::UserEvent{5, "an event that is the longest of the three", as_bytes("payload of it"), true});
  const Memory intent = encoded(wire::JoinIntent{5, "x"});
  const Memory asked = query({.ltime = 5});
  me.hear(user(event));
  me.hear(user(asked));
  me.hear(user(intent));
  CHECK(me.told() == Lines{test::to_hex(intent), test::to_hex(asked), test::to_hex(event)});
}

// ---- Tolerance

/// One key more, with a value of some depth, and two bytes behind the whole.
Memory with_extras(Memory message) {
  SHOAL_ASSERT((message[1] & 0xf0) == 0x80 && message[1] < 0x8f);
  ++message[1];
  const Memory extra = test::from_hex("a35a7a7a 92 01 81a161c0 7878");
  message.insert(message.end(), extra.begin(), extra.end());
  return message;
}

TEST_CASE("every message is understood with a key more and bytes behind it") {
  LoneNode me;
  me.hear(with_extras(test::alive({1, "b", peer(2)})));
  CHECK(me.status("b") == "alive");
  me.hear(with_extras(test::suspect(1, "b", "x")));
  CHECK(me.node.swim().members()[me.node.swim().members().find("b")].state == swim::State::kSuspect);
  me.forget();
  me.hear(with_extras(encoded(wire::Ping{5, "me"})));
  CHECK(me.sent.back().parts[0] == "ack 5 with payload");
  me.hear(user(with_extras(encoded(wire::JoinIntent{10, "b"}))));
  CHECK(me.status_ltime("b") == 10);
  me.hear(user(with_extras(encoded(wire::LeaveIntent{11, "b", false}))));
  CHECK(me.status("b") == "leaving");
  me.hear(with_extras(test::dead(1, "b", "b")));
  CHECK(me.status("b") == "left");
  me.quiet();
  const Memory asked = with_extras(query({.ltime = 9}));
  me.hear(user(asked));
  CHECK(me.queries.size() == 1);
  CHECK(me.told() == Lines{test::to_hex(asked)});  // As it came, all of it.
  me.quiet();
  const Asked own = ask_all(me, {.name = "q"});
  me.hear(user(with_extras(encoded(wire::QueryResponse{own.query.ltime, own.query.id, "b", 0, as_bytes("yes")}))));
  CHECK(me.responses.back().payload == "yes");
  CHECK(me.node.counters().malformed == 0);
}

TEST_CASE("serf messages that make no sense are counted, passed on to nobody, and harm nothing") {
  LoneNode me;
  const Memory malformed[] = {{}, {0}, {0, 0xc1}, {1, 0x81}, {3, 0xa1}, {4, 0x01}, {5, 0xff}};
  for (const Memory& payload : malformed) me.hear(user(payload));
  CHECK(me.node.counters().malformed == std::size(malformed));
  const Memory unsupported[] = {{2, 0x80}, {6, 0xc0}, {7, 0x80}, {8, 0x80}, {10, 0x80}, {255}};
  for (const Memory& payload : unsupported) me.hear(user(payload));
  CHECK(me.node.counters().unsupported == std::size(unsupported));
  me.hear(user(Memory{9, 0x80}));  // A relay to nowhere.
  CHECK(me.node.counters().relays_refused == 1);
  CHECK(me.told() == Lines{});
}

}  // namespace
}  // namespace shoal::serf
