#include "base/text_store.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "base/rng.h"

namespace shoal {
namespace {

TEST_CASE("equal texts are one text, kept as long as anybody holds it") {
  TextStore store(3);
  Text a = store.intern("node-a");
  {
    const Text again = store.intern(std::string("node-") + "a");
    CHECK(again == a);
    CHECK(again.view().data() == a.view().data());
    const Text copy = a;
    CHECK(store.size() == 1);
  }
  CHECK(a == "node-a");
  CHECK(store.size() == 1);
  const Text b = store.intern("node-b");
  CHECK(store.size() == 2);
  a = b;
  CHECK(store.size() == 1);
  CHECK(a == "node-b");
  CHECK(store.size_most() == 2);
}

TEST_CASE("a text outlives its own assignment, and a moved one holds nothing") {
  TextStore store(2);
  Text a = store.intern("a");
  a = *&a;
  CHECK(a == "a");
  const Text b = std::move(a);
  a = Text();
  CHECK(a.empty());
  CHECK(a.view().empty());
  CHECK(b == "a");
  CHECK(store.size() == 1);
}

TEST_CASE("the empty text is of no store and takes no room") {
  TextStore store(1);
  const Text none = store.intern("");
  CHECK(none.empty());
  CHECK(none == Text());
  CHECK(store.size() == 0);
  CHECK(store.intern("one").size() == 3);
}

TEST_CASE("as many texts as the store is for fit, whatever their length, and again when those are gone") {
  constexpr std::size_t kTexts = 50;
  TextStore store(kTexts);
  for (const std::size_t length : {std::size_t{4}, std::size_t{40}, std::size_t{41}, std::size_t{104}, std::size_t{105},
                                   std::size_t{232}, std::size_t{233}, TextStore::kTextBytesMax}) {
    CAPTURE(length);
    std::vector<Text> held;
    for (std::size_t i = 0; i < kTexts; ++i) {
      std::string text = std::to_string(100 + i);
      text.resize(length, 'x');
      held.push_back(store.intern(text));
      REQUIRE(held.back() == text);
    }
    CHECK(store.size() == kTexts);
    CHECK(store.intern(held[7].view()) == held[7]);  // Full, and what is there is found.
    held.clear();
    CHECK(store.size() == 0);
  }
}

TEST_CASE("every byte counts, the zeros too") {
  TextStore store(4);
  const Text a = store.intern(std::string_view("a\0b", 3));
  const Text b = store.intern(std::string_view("a\0c", 3));
  const Text c = store.intern(std::string_view("a\0b\0", 4));
  CHECK(store.size() == 3);
  CHECK(a == std::string_view("a\0b", 3));
  CHECK_FALSE(a == b);
  CHECK_FALSE(a == c);
}

TEST_CASE("through many comings and goings every holder has what it was given") {
  constexpr std::size_t kHolders = 64;
  Rng rng(11);
  TextStore store(kHolders);
  std::vector<Text> held(kHolders);
  std::vector<std::string> oracle(kHolders);
  std::map<std::string, int> distinct;
  const auto drop = [&](std::size_t i) {
    if (!oracle[i].empty() && --distinct[oracle[i]] == 0) distinct.erase(oracle[i]);
  };
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = rng.below(std::uint64_t{kHolders});
    const std::size_t from = rng.below(std::uint64_t{kHolders});
    drop(i);
    if (rng.one_in(3)) {
      held[i] = held[from];
      oracle[i] = i == from ? oracle[i] : oracle[from];
    } else {
      held[i] = Text();
      oracle[i] = std::to_string(rng.below(std::uint64_t{100}));
      oracle[i].append(rng.below(std::uint64_t{TextStore::kTextBytesMax - 2}), '.');
      held[i] = store.intern(oracle[i]);
    }
    if (!oracle[i].empty()) ++distinct[oracle[i]];
    REQUIRE(store.size() == distinct.size());
    for (std::size_t k = 0; k < kHolders; ++k) REQUIRE(held[k] == oracle[k]);
  }
}

}  // namespace
}  // namespace shoal
