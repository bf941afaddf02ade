// Keys changed by query and by the operator: who does what, what is answered, and what the application is told.
#include <doctest/doctest.h>

#include <algorithm>

#include "serf/node.h"
#include "support/lone_node.h"

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
using test::Secrets;
using test::user;

constexpr std::string_view kOld = "0123456789abcdef";
constexpr std::string_view kNew = "fedcba9876543210fedcba98";
constexpr std::string_view kOld64 = "MDEyMzQ1Njc4OWFiY2RlZg==";
constexpr std::string_view kNew64 = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4";

Key key_of(std::string_view text) {
  Key key;
  REQUIRE(key.assign(as_bytes(text)));
  return key;
}
/// The i-th of many keys of 32 bytes.
Key key_number(std::size_t i) {
  std::string text(32, static_cast<char>('A' + i));
  return key_of(text);
}
NodeOptions with_keys(std::initializer_list<std::string_view> keys) {
  NodeOptions out = LoneNode::options();
  for (const std::string_view key : keys) out.swim.keys.push_back(key_of(key));
  out.swim.nonce_seed = {1, 2, 3};
  return out;
}
NodeOptions with_many_keys(std::size_t count) {
  NodeOptions out = with_keys({});
  for (std::size_t i = 0; i < count; ++i) out.swim.keys.push_back(key_number(i));
  return out;
}

Memory key_request(std::string_view key) { return encoded(wire::KeyRequest{as_bytes(key)}); }

struct KeyAnswer {
  bool result = false;
  std::string message;
  Lines keys;
  std::string primary;
  friend bool operator==(const KeyAnswer&, const KeyAnswer&) = default;
};
KeyAnswer key_answer(std::string_view payload) {
  wire::KeyResponse r;
  REQUIRE_FALSE(payload.empty());
  REQUIRE(payload[0] == 8);
  REQUIRE(wire::decode(as_bytes(payload).subspan(1), r));
  KeyAnswer out{r.result, std::string(r.message), {}, std::string(r.primary_key)};
  wire::for_each_key(r.keys, [&out](std::string_view key) { out.keys.emplace_back(key); });
  return out;
}

/// Another node's key query comes in; the answers to it, each to the asker.
std::uint32_t next_id = 100;
std::vector<KeyAnswer> asked(LoneNode& me, KeyOperation operation, Bytes payload, std::uint32_t flags = 0) {
  me.forget();
  me.hear(me.secrets.packet(user(test::query({.id = ++next_id,
                                              .reply_to = peer(44, 4444),
                                              .flags = flags,
                                              .name = std::string(query_name(operation)),
                                              .payload = std::string(as_text(payload))}))),
          peer(9));
  std::vector<KeyAnswer> out;
  for (const Answer& answer : answers(me)) {
    if (answer.flags != 0) continue;
    CHECK(answer.to == peer(44, 4444));
    CHECK(answer.id == next_id);
    out.push_back(key_answer(answer.payload));
  }
  return out;
}
std::vector<KeyAnswer> asked(LoneNode& me, KeyOperation operation, std::string_view key) {
  return asked(me, operation, key_request(key));
}
Lines ring_of(const LoneNode& me) {
  Lines out;
  for (std::size_t i = 0; i < me.node.keyring().size(); ++i) {
    out.emplace_back(as_text(me.node.keyring()[i].raw()));
  }
  return out;
}

const KeyAnswer kYes{true, "", {}, ""};
KeyAnswer no(std::string message) { return {false, std::move(message), {}, ""}; }

// ---- By query

TEST_CASE("a key is installed, used and removed as asked: answered, told for the file, and never seen by the app") {
  LoneNode me({}, with_keys({kOld}));
  REQUIRE(me.secrets.ring.add(as_bytes(kNew)) == wire::KeyResult::kOk);
  CHECK(asked(me, KeyOperation::kInstall, kNew) == std::vector{kYes});
  CHECK(ring_of(me) == Lines{std::string(kOld), std::string(kNew)});
  CHECK(me.keyring_changes == 1);
  CHECK(asked(me, KeyOperation::kUse, kNew) == std::vector{kYes});
  CHECK(ring_of(me) == Lines{std::string(kNew), std::string(kOld)});
  CHECK(me.keyring_changes == 2);
  CHECK(asked(me, KeyOperation::kRemove, kOld) == std::vector{kYes});
  CHECK(ring_of(me) == Lines{std::string(kNew)});
  CHECK(me.keyring_changes == 3);
  CHECK(me.queries.empty());
  CHECK(me.node.counters().unsupported == 0);
}

TEST_CASE("a change that could not be written is no success: a restart would undo it") {
  LoneNode me({}, with_keys({kOld}));
  REQUIRE(me.secrets.ring.add(as_bytes(kNew)) == wire::KeyResult::kOk);
  me.keyring_error = "the disk is full";
  CHECK(asked(me, KeyOperation::kInstall, kNew) == std::vector{no("the disk is full")});
  CHECK(ring_of(me) == Lines{std::string(kOld), std::string(kNew)});  // As in serf.
  me.keyring_error = std::string(5'000, 'x');
  CHECK(asked(me, KeyOperation::kInstall, kNew) == std::vector{no(std::string(256, 'x'))});
}

TEST_CASE("the answer to `use` is under the new key, as the asker has it by then") {
  LoneNode me({}, with_keys({kOld, kNew}));
  asked(me, KeyOperation::kUse, kNew);
  Secrets fresh({kNew});
  REQUIRE_FALSE(me.sent.empty());
  CHECK(only(test::opened(me.sent.back().bytes, fresh.security()).parts, "user 05").size() == 1);
}

TEST_CASE("what the keyring refuses is answered in serf's words and changes nothing") {
  struct {
    KeyOperation operation;
    std::string_view key;
    const char* message;
  } const rows[] = {
      {KeyOperation::kInstall, "too short", "key size must be 16, 24 or 32 bytes"},
      {KeyOperation::kInstall, "", "key size must be 16, 24 or 32 bytes"},
      {KeyOperation::kInstall, "seventeen letters", "key size must be 16, 24 or 32 bytes"},
      {KeyOperation::kUse, kNew, "requested key is not in the keyring"},
      {KeyOperation::kUse, "too short", "requested key is not in the keyring"},
      {KeyOperation::kRemove, kOld, "removing the primary key is not allowed"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.message);
    LoneNode me({}, with_keys({kOld}));
    CHECK(asked(me, row.operation, row.key) == std::vector{no(row.message)});
    CHECK(ring_of(me) == Lines{std::string(kOld)});
    CHECK(me.keyring_changes == 0);
  }
  LoneNode full({}, with_many_keys(16));
  CHECK(asked(full, KeyOperation::kInstall, kNew) ==
        std::vector{no("the keyring is full; remove a key that is no longer used")});
  CHECK(full.node.keyring().size() == 16);
  CHECK(asked(full, KeyOperation::kInstall, as_text(key_number(3).view())) == std::vector{kYes});  // It has that one.
}

TEST_CASE("to remove what is not there, and to install what is, is fine") {
  LoneNode me({}, with_keys({kOld}));
  CHECK(asked(me, KeyOperation::kRemove, kNew) == std::vector{kYes});
  CHECK(asked(me, KeyOperation::kRemove, "too short") == std::vector{kYes});
  CHECK(asked(me, KeyOperation::kInstall, kOld) == std::vector{kYes});
  CHECK(asked(me, KeyOperation::kUse, kOld) == std::vector{kYes});
  CHECK(ring_of(me) == Lines{std::string(kOld)});
}

TEST_CASE("who does not encrypt answers every key query in serf's words, and stays plain") {
  LoneNode me;
  const std::string none = "No keyring to modify (encryption not enabled)";
  CHECK(asked(me, KeyOperation::kInstall, kNew) == std::vector{no(none)});
  CHECK(asked(me, KeyOperation::kUse, kNew) == std::vector{no(none)});
  CHECK(asked(me, KeyOperation::kRemove, kNew) == std::vector{no(none)});
  CHECK(asked(me, KeyOperation::kList, "") == std::vector{no("Keyring is empty (encryption not enabled)")});
  CHECK(me.node.keyring().empty());
  CHECK(me.keyring_changes == 0);
}

TEST_CASE("the list has the keys in their order in base64, and the one in use") {
  LoneNode me({}, with_keys({kOld, kNew}));
  const KeyAnswer both{true, "", {std::string(kOld64), std::string(kNew64)}, std::string(kOld64)};
  CHECK(asked(me, KeyOperation::kList, "") == std::vector{both});
  CHECK(me.keyring_changes == 0);
  asked(me, KeyOperation::kUse, kNew);
  CHECK(me.secrets.ring.use(as_bytes(kNew)) == wire::KeyResult::kOk);
  const KeyAnswer turned{true, "", {std::string(kNew64), std::string(kOld64)}, std::string(kNew64)};
  CHECK(asked(me, KeyOperation::kList, "") == std::vector{turned});
}

TEST_CASE("a list needs no payload: serf looks at none") {
  LoneNode me({}, with_keys({kOld}));
  CHECK(asked(me, KeyOperation::kList, Bytes{}).size() == 1);
  CHECK(asked(me, KeyOperation::kList, as_bytes("whatever")).size() == 1);
  CHECK(me.node.counters().malformed == 0);
}

TEST_CASE(
    "a list of sixteen keys fits into an answer under a short name, and is cut in serf's words under a long one") {
  for (const std::size_t name_size : {2, 60, 120, 255}) {
    CAPTURE(name_size);
    NodeOptions options = with_many_keys(16);
    REQUIRE(options.swim.name.assign(std::string(name_size, 'm')));
    LoneNode me({}, options);
    const std::vector<KeyAnswer> got = asked(me, KeyOperation::kList, "");
    REQUIRE(got.size() == 1);
    CHECK(got[0].result);
    const std::size_t shown = got[0].keys.size();
    if (name_size == 2) CHECK(shown == 16);
    if (name_size == 255) CHECK(shown < 16);
    CHECK(shown >= 12);
    CHECK(got[0].message ==
          (shown == 16 ? "" : "truncated key list response, showing first " + std::to_string(shown) + " of 16 keys"));
    for (const std::string& key : got[0].keys) CHECK(key.size() == 44);
    CHECK(got[0].primary == got[0].keys[0]);
    CHECK(answers(me).size() == 1);
    CHECK(me.sent.back().bytes.size() <= 1024 + 1 + 29);
  }
}

TEST_CASE("key queries that nobody can read are counted and change nothing") {
  LoneNode me({}, with_keys({kOld, kNew}));
  const Memory payloads[] = {
      {}, {7}, {7, 0xc1}, {8, 0x80}, test::from_hex("0781a34b65"), test::from_hex("0781a34b657901")};
  std::uint64_t malformed = 0;
  for (const Memory& payload : payloads) {
    CAPTURE(test::to_hex(payload));
    for (const KeyOperation operation : {KeyOperation::kInstall, KeyOperation::kUse, KeyOperation::kRemove}) {
      CHECK(asked(me, operation, payload).empty());
      CHECK(me.node.counters().malformed == ++malformed);
    }
  }
  CHECK(ring_of(me) == Lines{std::string(kOld), std::string(kNew)});
  CHECK(me.keyring_changes == 0);
  // A key that is left out counts as none.
  CHECK(asked(me, KeyOperation::kInstall, Memory{7, 0x80}) == std::vector{no("key size must be 16, 24 or 32 bytes")});
}

TEST_CASE("a key query is passed on as it came, but for the flag against it; each is obeyed once") {
  LoneNode me({}, with_keys({kOld}));
  const Memory bytes =
      test::query({.id = 7, .name = "_serf_install-key", .payload = std::string(as_text(key_request(kNew)))});
  me.hear(me.secrets.packet(user(bytes)));
  me.hear(me.secrets.packet(user(bytes)));
  CHECK(answers(me).size() == 1);
  CHECK(me.keyring_changes == 1);
  CHECK(me.told() == Lines{test::to_hex(bytes)});
  me.quiet();
  CHECK(asked(me, KeyOperation::kRemove, key_request(kNew), wire::kQueryFlagNoBroadcast) == std::vector{kYes});
  CHECK(me.told() == Lines{});
}

TEST_CASE("a key query for others is passed on and not obeyed") {
  LoneNode me({}, with_keys({kOld}));
  me.hear(me.secrets.packet(user(test::query({.filters = test::from_hex("91a4 0091a178"),  // Node "x" alone.
                                              .name = "_serf_install-key",
                                              .payload = std::string(as_text(key_request(kNew)))}))));
  CHECK(answers(me).empty());
  CHECK(me.node.keyring().size() == 1);
  CHECK(me.told().size() == 1);
}

TEST_CASE("a key query over TCP is answered over TCP") {
  LoneNode me({}, with_keys({kOld}));
  const Memory bytes = test::query(
      {.reply_to = peer(44, 4444), .name = "_serf_list-keys", .payload = std::string(as_text(key_request("")))});
  me.exchange(
      me.secrets.stream(test::joined({encoded(wire::UserHeader{static_cast<std::uint32_t>(bytes.size())}), bytes})));
  CHECK(me.sent.empty());
  REQUIRE(me.connects.size() == 1);
  CHECK(me.connects.begin()->second == peer(44, 4444));
}

TEST_CASE("several key queries in one datagram are obeyed in their order") {
  LoneNode me({}, with_keys({kOld}));
  wire::PacketSealer sealer(false);
  sealer.begin(me.secrets.security());
  std::uint32_t id = 0;
  const auto add = [&](KeyOperation operation, std::string_view key) {
    REQUIRE(sealer.add(user(test::query(
        {.id = ++id, .name = std::string(query_name(operation)), .payload = std::string(as_text(key_request(key)))}))));
  };
  add(KeyOperation::kInstall, kNew);
  add(KeyOperation::kUse, kNew);
  add(KeyOperation::kRemove, kOld);
  Memory datagram(2048);
  datagram.resize(sealer.finish(false, datagram));
  me.hear(datagram);
  CHECK(ring_of(me) == Lines{std::string(kNew)});
}

// ---- Our own query

TEST_CASE("our key query goes to all, ourselves included, with the key as it is; the answers are ours to count") {
  LoneNode me({}, with_keys({kOld}));
  me.know("b", 2);
  QueryToken token = 0;
  me.command([&] { token = me.node.key_query(me.now, KeyOperation::kInstall, as_bytes(kNew), me.out()); });
  REQUIRE(token != 0);
  CHECK(ring_of(me) == Lines{std::string(kOld), std::string(kNew)});
  CHECK(me.keyring_changes == 1);
  // Our own answer goes to our own address.
  REQUIRE(answers(me).size() == 1);
  CHECK(answers(me)[0].to == peer(1));
  const Memory own_answer = me.sent.back().bytes;
  const Lines told = me.told();
  REQUIRE(told.size() == 1);
  const Memory bytes = test::from_hex(told[0]);
  wire::Query query;
  REQUIRE(wire::decode(Bytes(bytes).subspan(1), query));
  CHECK(query.name == "_serf_install-key");
  CHECK(same_bytes(query.payload, key_request(kNew)));
  me.hear(own_answer, peer(1));
  const Memory yes = encoded(wire::KeyResponse{true});
  me.hear(me.secrets.packet(user(encoded(wire::QueryResponse{query.ltime, query.id, "b", 0, yes}))), peer(2));
  REQUIRE(me.responses.size() == 2);
  CHECK(me.responses[0].token == token);
  CHECK(me.responses[0].from == "me");
  CHECK(key_answer(me.responses[1].payload) == kYes);
}

TEST_CASE("a key of a wrong size is asked about all the same, one beyond all sense is not") {
  LoneNode me({}, with_keys({kOld}));
  me.command([&] { CHECK(me.node.key_query(me.now, KeyOperation::kInstall, as_bytes("short"), me.out()) != 0); });
  REQUIRE(answers(me).size() == 1);
  CHECK(key_answer(answers(me)[0].payload) == no("key size must be 16, 24 or 32 bytes"));
  me.quiet();
  for (const std::size_t size : {100, 2000}) {
    me.command([&] { CHECK(me.node.key_query(me.now, KeyOperation::kInstall, Memory(size, 1), me.out()) == 0); });
    CHECK(me.sent.empty());
  }
}

TEST_CASE("a cluster of three exchanges its key, each at its own time, and nobody is ever deaf to another") {
  // Each hop of each step: any two nodes must understand each other, whoever is ahead.
  for (unsigned ahead = 0; ahead < 2; ++ahead) {
    LoneNode quick({}, with_keys({kOld})), slow({}, with_keys({kOld}));
    const auto hear_each_other = [&] {
      for (LoneNode* from : {&quick, &slow}) {
        LoneNode& to = from == &quick ? slow : quick;
        wire::NonceSource nonces({9});
        wire::PacketSealer sealer(false);
        sealer.begin({&from->node.keyring(), "", &nonces});
        const std::uint64_t refused =
            to.node.swim().counters().refused[static_cast<std::size_t>(swim::Refusal::kBadKey)];
        REQUIRE(sealer.add(encoded(wire::Ping{5, "me"})));
        Memory datagram(512);
        datagram.resize(sealer.finish(false, datagram));
        to.forget();
        to.hear(datagram, peer(7));
        CHECK(to.sent.size() == 1);
        CHECK(to.node.swim().counters().refused[static_cast<std::size_t>(swim::Refusal::kBadKey)] == refused);
      }
    };
    struct {
      KeyOperation operation;
      std::string_view key;
    } const steps[] = {{KeyOperation::kInstall, kNew}, {KeyOperation::kUse, kNew}, {KeyOperation::kRemove, kOld}};
    for (const auto& step : steps) {
      for (LoneNode* node : {&quick, &slow}) {
        hear_each_other();
        node->command(
            [&] { CHECK(node->node.key_query(node->now, step.operation, as_bytes(step.key), node->out()) != 0); });
        hear_each_other();
      }
    }
    CHECK(ring_of(quick) == Lines{std::string(kNew)});
    CHECK(ring_of(slow) == Lines{std::string(kNew)});
  }
}

// ---- By the operator

TEST_CASE("the operator's ring takes the place of the old one, its first key encrypts") {
  const auto numbers = [](std::initializer_list<std::size_t> list) { return std::vector<std::size_t>(list); };
  struct Row {
    std::vector<std::size_t> before, wanted;
  };
  std::vector<std::size_t> sixteen, others;
  for (std::size_t i = 0; i < 16; ++i) sixteen.push_back(i);
  for (std::size_t i = 16; i < 32; ++i) others.push_back(i);
  std::vector<std::size_t> all_but_first(sixteen.begin() + 1, sixteen.end());
  std::vector<std::size_t> shifted = all_but_first;
  shifted.push_back(16);
  std::vector<std::size_t> turned(sixteen.rbegin(), sixteen.rend());
  const Row rows[] = {
      {numbers({0}), numbers({0})},
      {numbers({0}), numbers({1})},
      {numbers({0, 1}), numbers({1, 0})},
      {numbers({0, 1}), numbers({2, 3})},
      {numbers({0, 1, 2}), numbers({2})},
      {numbers({0}), numbers({1, 1, 0, 1})},
      {numbers({0}), sixteen},
      {numbers({0}), others},  // Not the old primary: for a moment seventeen would be wanted.
      {numbers({0, 1, 2}), others},
      {sixteen, numbers({0})},
      {sixteen, numbers({15})},
      {sixteen, numbers({16})},
      {sixteen, sixteen},
      {sixteen, turned},
      {sixteen, others},
      {sixteen, all_but_first},
      {sixteen, shifted},
  };
  for (const Row& row : rows) {
    CAPTURE(row.before.size());
    CAPTURE(row.wanted.size());
    CAPTURE(row.wanted[0]);
    NodeOptions options = with_keys({});
    for (const std::size_t i : row.before) options.swim.keys.push_back(key_number(i));
    LoneNode me({}, options);
    std::vector<Key> keys;
    for (const std::size_t i : row.wanted) keys.push_back(key_number(i));
    CHECK(me.node.set_keys(keys));
    CHECK(same_bytes(me.node.keyring().primary().raw(), key_number(row.wanted[0]).view()));
    Lines want, have = ring_of(me);
    for (const std::size_t i : row.wanted) want.emplace_back(as_text(key_number(i).view()));
    std::sort(want.begin(), want.end());
    want.erase(std::unique(want.begin(), want.end()), want.end());
    std::sort(have.begin(), have.end());
    CHECK(have == want);
  }
}

TEST_CASE(
    "an operator's ring that is empty, too long or has a bad key changes nothing, nor does one for who is plain") {
  LoneNode me({}, with_keys({kOld, kNew}));
  const std::vector<Key> bad = {key_number(1), key_of("short")};
  std::vector<Key> many;
  for (std::size_t i = 0; i < 17; ++i) many.push_back(key_number(i));
  CHECK_FALSE(me.node.set_keys({}));
  CHECK_FALSE(me.node.set_keys(bad));
  CHECK_FALSE(me.node.set_keys(many));
  CHECK_FALSE(me.node.set_keys(std::vector<Key>(1)));
  CHECK(ring_of(me) == Lines{std::string(kOld), std::string(kNew)});
  LoneNode plain;
  CHECK_FALSE(plain.node.set_keys(std::vector<Key>{key_number(1)}));
  CHECK(plain.node.keyring().empty());
}

TEST_CASE("after the operator's change the new ring is what is heard and written") {
  LoneNode me({}, with_keys({kOld}));
  CHECK(me.node.set_keys(std::vector<Key>{key_of(kNew)}));
  Secrets old({kOld}), fresh({kNew});
  me.hear(old.packet(encoded(wire::Ping{5, "me"})));
  CHECK(me.sent.empty());
  CHECK(me.foreign == Lines{"10.0.0.99:7946 bad_key"});
  me.hear(fresh.packet(encoded(wire::Ping{6, "me"})));
  REQUIRE(me.sent.size() == 1);
  CHECK(test::opened(me.sent[0].bytes, fresh.security()).parts == Lines{"ack 6 with payload"});
}

}  // namespace
}  // namespace shoal::serf
