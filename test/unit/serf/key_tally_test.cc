// The answers to one key query, counted.
#include "serf/key_tally.h"

#include <doctest/doctest.h>

#include "support/gossip_trace.h"

namespace shoal::serf {
namespace {

using test::encoded;
using test::Memory;

constexpr QueryToken kQuery = 7;
const std::string kA = "QUFBQUFBQUFBQUFBQUFBQQ==";
const std::string kB = "QkJCQkJCQkJCQkJCQkJCQg==";

Memory answer(bool result, std::string_view message = {}, std::vector<std::string_view> keys = {},
              std::string_view primary = {}) {
  Memory memory(4096);
  ByteWriter list(memory);
  if (!keys.empty()) wire::encode_key_list(list, keys);
  return encoded(wire::KeyResponse{result, message, list.written(), primary});
}
KeyTally begun(std::size_t nodes, KeyOperation operation = KeyOperation::kInstall) {
  KeyTally tally;
  tally.begin(Instant{} + 1s, operation, kQuery, nodes, 3s);
  return tally;
}
const KeyCount* count_of(const KeyTally& tally, std::string_view key) {
  for (const KeyCount& count : tally.keys()) {
    if (count.key == key) return &count;
  }
  return nullptr;
}

TEST_CASE("a tally is done when all have answered, or when its time is over") {
  KeyTally tally = begun(2);
  CHECK(tally.busy());
  CHECK(tally.next_deadline() == Instant{} + 4s);
  CHECK_FALSE(tally.done(Instant{} + 1s));
  CHECK(tally.on_answer(kQuery, "a", answer(true)));
  CHECK_FALSE(tally.done(Instant{} + 3999ms));
  CHECK(tally.done(Instant{} + 4s));
  CHECK_FALSE(tally.ok());  // One is missing.
  CHECK(tally.on_answer(kQuery, "b", answer(true)));
  CHECK(tally.done(Instant{} + 1s));
  CHECK(tally.ok());
  tally.end();
  CHECK_FALSE(tally.busy());
  CHECK_FALSE(tally.done(Instant{} + 9h));
  CHECK(tally.next_deadline() == kNever);
}

TEST_CASE("answers to other queries, and those after the end, are not the tally's") {
  KeyTally tally = begun(2);
  CHECK_FALSE(tally.on_answer(kQuery + 1, "a", answer(true)));
  CHECK(tally.answered() == 0);
  tally.end();
  CHECK_FALSE(tally.on_answer(kQuery, "a", answer(true)));
  CHECK_FALSE(tally.on_answer(0, "a", answer(true)));
  CHECK(tally.answered() == 0);
}

TEST_CASE("each node counts once, whatever it says the second time") {
  KeyTally tally = begun(2);
  CHECK(tally.on_answer(kQuery, "a", answer(true)));
  CHECK(tally.on_answer(kQuery, "a", answer(false, "no")));
  CHECK(tally.answered() == 1);
  CHECK(tally.errors() == 0);
  CHECK(tally.messages().empty());
}

TEST_CASE("a refusal is an error with the node's own words; a yes with words is none, and its words are kept") {
  KeyTally tally = begun(3);
  CHECK(tally.on_answer(kQuery, "a", answer(true)));
  CHECK(tally.on_answer(kQuery, "b", answer(false, "no such key")));
  CHECK(tally.on_answer(kQuery, "c", answer(true, "just so")));
  CHECK(tally.errors() == 1);
  CHECK_FALSE(tally.ok());
  REQUIRE(tally.messages().size() == 2);
  CHECK(tally.messages()[0].node == "b");
  CHECK(tally.messages()[0].text == "no such key");
  CHECK(tally.messages()[1].node == "c");
  CHECK(tally.messages()[1].text == "just so");
}

TEST_CASE("an answer that cannot be read is an error; one that is long is cut") {
  KeyTally tally = begun(9);
  const Memory bad[] = {{}, {8}, {8, 0xc1}, {7, 0x80}, test::from_hex("0881a64d657373616765")};
  std::size_t n = 0;
  for (const Memory& payload : bad) CHECK(tally.on_answer(kQuery, "n" + std::to_string(n++), payload));
  CHECK(tally.errors() == std::size(bad));
  CHECK(tally.answered() == std::size(bad));
  CHECK(tally.messages().front().text == "its answer cannot be read");
  CHECK(tally.on_answer(kQuery, std::string(300, 'n'), answer(false, std::string(900, 'm'))));
  CHECK(tally.messages().back().text.size() == 160);
  CHECK(tally.messages().back().node.size() == 255);
}

TEST_CASE("a list counts for each key who has it and who encrypts with it") {
  KeyTally tally = begun(3, KeyOperation::kList);
  CHECK(tally.on_answer(kQuery, "a", answer(true, "", {kA, kB}, kA)));
  CHECK(tally.on_answer(kQuery, "b", answer(true, "", {kB, kA}, kB)));
  CHECK(tally.on_answer(kQuery, "c", answer(true, "", {kA}, kA)));
  CHECK(tally.ok());
  REQUIRE(tally.keys().size() == 2);
  REQUIRE(count_of(tally, kA) != nullptr);
  CHECK(count_of(tally, kA)->nodes == 3);
  CHECK(count_of(tally, kA)->primary == 2);
  CHECK(count_of(tally, kB)->nodes == 2);
  CHECK(count_of(tally, kB)->primary == 1);
}

TEST_CASE("a node that names a key twice has it once") {
  KeyTally tally = begun(1, KeyOperation::kList);
  CHECK(tally.on_answer(kQuery, "a", answer(true, "", {kA, kB, kA}, kA)));
  REQUIRE(count_of(tally, kA) != nullptr);
  CHECK(count_of(tally, kA)->nodes == 1);
  CHECK(count_of(tally, kB)->nodes == 1);
}

TEST_CASE("a cut list says so and counts what it has") {
  KeyTally tally = begun(1, KeyOperation::kList);
  const std::string words = "truncated key list response, showing first 1 of 9 keys";
  CHECK(tally.on_answer(kQuery, "a", answer(true, words, {kA}, kA)));
  CHECK(tally.ok());
  CHECK(count_of(tally, kA)->nodes == 1);
  CHECK(tally.messages()[0].text == words);
}

TEST_CASE("who does not encrypt has no key in a list, and is an error") {
  KeyTally tally = begun(1, KeyOperation::kList);
  CHECK(tally.on_answer(kQuery, "a", answer(false, "Keyring is empty (encryption not enabled)")));
  CHECK(tally.errors() == 1);
  CHECK(tally.keys().empty());
}

TEST_CASE("more keys and messages than there is room for are left out, and nodes are counted all the same") {
  KeyTally tally = begun(200, KeyOperation::kList);
  for (int i = 0; i < 100; ++i) {
    const std::string key = "key" + std::to_string(i);
    CHECK(tally.on_answer(kQuery, "n" + std::to_string(i), answer(false, "words", {key, "", std::string(99, 'k')})));
  }
  CHECK(tally.keys().size() == KeyTally::kKeysMax);
  CHECK(tally.messages().size() == KeyTally::kMessagesMax);
  CHECK(tally.errors() == 100);
  CHECK(tally.answered() == 100);
}

TEST_CASE("the next operation begins from nothing") {
  KeyTally tally = begun(1, KeyOperation::kList);
  CHECK(tally.on_answer(kQuery, "a", answer(false, "no", {kA}, kA)));
  tally.end();
  CHECK(tally.keys().empty());
  tally.begin(Instant{} + 9s, KeyOperation::kUse, kQuery + 1, 1, 3s);
  CHECK(tally.operation() == KeyOperation::kUse);
  CHECK(tally.errors() == 0);
  CHECK(tally.messages().empty());
  CHECK(tally.on_answer(kQuery + 1, "a", answer(true)));  // The same node may answer again.
  CHECK(tally.answered() == 1);
  CHECK(tally.ok());
}

}  // namespace
}  // namespace shoal::serf
