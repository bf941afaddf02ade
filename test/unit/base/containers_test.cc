#include "base/containers.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/named_table.h"
#include "base/rng.h"

namespace shoal {
namespace {

TEST_CASE("a fixed string takes what fits and refuses the rest without a change") {
  FixedString<4> s;
  CHECK(s.empty());
  CHECK(s.assign("abcd"));
  CHECK_FALSE(s.assign("abcde"));
  CHECK(s == "abcd");
  CHECK_FALSE(s.append("x"));
  CHECK(s.append(""));
  CHECK(s.assign("ab"));
  CHECK(s.append("cd"));
  CHECK(s == "abcd");
  s.assign_cut("uvwxyz");
  CHECK(s == "uvwx");
  CHECK(s.assign(s.view().substr(1)));  // Its own text, moved.
  CHECK(s == "vwx");
  s.clear();
  CHECK(s == "");
}

TEST_CASE("fixed strings are equal when their used part is") {
  FixedString<8> a("abcdef"), b("abcxyz");
  CHECK_FALSE(a == b);
  REQUIRE(a.assign("abc"));
  REQUIRE(b.assign("abc"));
  CHECK(a == b);
}

TEST_CASE("a fixed vector keeps the order on insert and erase, and takes the last one's place on swap_erase") {
  FixedVector<int> v(5);
  for (const int i : {10, 20, 40}) v.push_back(i);
  v.insert(2, 30);
  v.insert(0, 0);
  CHECK(v.full());
  CHECK(std::vector<int>(v.begin(), v.end()) == std::vector<int>{0, 10, 20, 30, 40});
  v.erase(1);
  CHECK(std::vector<int>(v.begin(), v.end()) == std::vector<int>{0, 20, 30, 40});
  v.swap_erase(0);
  CHECK(std::vector<int>(v.begin(), v.end()) == std::vector<int>{40, 20, 30});
  v.swap_erase(2);
  CHECK(std::vector<int>(v.begin(), v.end()) == std::vector<int>{40, 20});
  CHECK(v.back() == 20);
  CHECK(v.capacity() == 5);
}

TEST_CASE("a fixed vector destroys each of its values once") {
  const auto witness = std::make_shared<int>(1);
  {
    FixedVector<std::shared_ptr<int>> v(4);
    for (int i = 0; i < 4; ++i) v.push_back(witness);
    CHECK(witness.use_count() == 5);
    v.erase(1);
    v.swap_erase(0);
    v.pop_back();
    CHECK(witness.use_count() == 2);
    FixedVector<std::shared_ptr<int>> moved(std::move(v));
    CHECK(moved.size() == 1);
    CHECK(witness.use_count() == 2);
  }
  CHECK(witness.use_count() == 1);
}

TEST_CASE("an inline vector keeps the order on erase") {
  InlineVector<int, 3> v;
  for (const int i : {1, 2, 3}) v.push_back(i);
  CHECK(v.full());
  v.erase(1);
  CHECK(std::vector<int>(v.begin(), v.end()) == std::vector<int>{1, 3});
  v.clear();
  CHECK(v.empty());
}

TEST_CASE("a ring gives back in the order of the pushes, over and over its edge") {
  Rng rng(1);
  Ring<int> ring(7);
  std::deque<int> oracle;
  for (int i = 0; i < 10'000; ++i) {
    if (!ring.full() && rng.one_in(2)) {
      ring.push(i);
      oracle.push_back(i);
    } else if (!ring.empty()) {
      CHECK(ring.pop() == oracle.front());
      oracle.pop_front();
    }
    REQUIRE(ring.size() == oracle.size());
    for (std::size_t k = 0; k < oracle.size(); ++k) CHECK(ring[k] == oracle[k]);
  }
  CHECK(ring.capacity() == 7);
}

/// A table of names beside which the index is kept, with slots reused at once, as its owners do.
class Names {
  [[nodiscard]] auto name_of() const {
    return [this](std::uint32_t slot) { return std::string_view(names_[slot]); };
  }

 public:
  Names(std::size_t capacity, std::uint64_t seed) : names_(capacity), index_(capacity, seed) {}
  void insert(const std::string& name, std::uint32_t slot) {
    names_[slot] = name;
    index_.insert(name, slot);
  }
  void erase(const std::string& name) { index_.erase(name, name_of()); }
  void move(const std::string& name, std::uint32_t from, std::uint32_t to) {
    names_[to] = name;
    index_.move(name, to, name_of());
    names_[from].clear();
  }
  [[nodiscard]] std::uint32_t find(const std::string& name) const { return index_.find(name, name_of()); }
  [[nodiscard]] std::size_t size() const { return index_.size(); }

 private:
  std::vector<std::string> names_;
  NameIndex index_;
};

TEST_CASE("the name index agrees with a map through a hundred thousand inserts, moves and erases") {
  constexpr std::uint32_t kCapacity = 61;
  Rng rng(2);
  Names names(kCapacity, 9);
  std::map<std::string, std::uint32_t> oracle;
  std::vector<std::uint32_t> free;
  for (std::uint32_t slot = 0; slot < kCapacity; ++slot) free.push_back(slot);
  for (int step = 0; step < 100'000; ++step) {
    const std::string name = "node-" + std::to_string(rng.below(std::uint64_t{120}));
    const auto known = oracle.find(name);
    REQUIRE(names.find(name) == (known == oracle.end() ? NameIndex::kNone : known->second));
    if (known == oracle.end() && !free.empty()) {
      names.insert(name, free.back());
      oracle[name] = free.back();
      free.pop_back();
    } else if (known != oracle.end() && !free.empty() && rng.one_in(4)) {
      const std::uint32_t from = known->second;
      names.move(name, from, free.back());
      known->second = free.back();
      free.back() = from;
    } else {
      names.erase(name);  // Does nothing when it is not there.
      if (known != oracle.end()) {
        free.push_back(known->second);
        oracle.erase(known);
      }
    }
    REQUIRE(names.size() == oracle.size());
    if (step % 997 != 0) continue;
    for (const auto& [each, slot] : oracle) REQUIRE(names.find(each) == slot);
  }
}

TEST_CASE("a zeroed array is all zero, and keeps what it is given") {
  ZeroedArray<std::uint64_t> values(100'000);
  CHECK(values.size() == 100'000);
  for (const std::uint64_t value : values) REQUIRE(value == 0);
  values[7] = 8;
  values[99'999] = 9;
  CHECK(values[7] == 8);
  CHECK(*(values.end() - 1) == 9);
}

TEST_CASE("in a pool each value has a place of its own while it lives, and the places of the gone are used again") {
  Pool<int> pool(3);
  const std::uint32_t a = pool.put(1);
  const std::uint32_t b = pool.put(2);
  const std::uint32_t c = pool.put(3);
  CHECK(pool.full());
  pool.take_away(b);
  CHECK_FALSE(pool.full());
  const std::uint32_t d = pool.put(4);
  CHECK(pool.full());
  CHECK(pool[a] == 1);
  CHECK(pool[c] == 3);
  CHECK(pool[d] == 4);
}

/// How many of its whole pages are in memory.
std::size_t resident_pages(Buffer& buffer) {
  const auto page = static_cast<std::size_t>(::getpagesize());
  const auto begin = (reinterpret_cast<std::uintptr_t>(buffer.bytes().data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(buffer.bytes().data() + buffer.size()) / page * page;
  std::vector<unsigned char> in_memory((end - begin) / page);
  REQUIRE(::mincore(reinterpret_cast<void*>(begin), end - begin, in_memory.data()) == 0);
  return static_cast<std::size_t>(
      std::count_if(in_memory.begin(), in_memory.end(), [](unsigned char c) { return (c & 1) != 0; }));
}

TEST_CASE("a buffer that held much gives its memory back and can be filled again; one that held little keeps it") {
  Buffer buffer(8 << 20);
  const auto fill = [&](std::size_t bytes) { std::fill_n(buffer.bytes().begin(), bytes, std::uint8_t{0xaa}); };
  fill(buffer.size());
  const std::size_t all = resident_pages(buffer);
  CHECK(all * 4096 > buffer.size() / 2);
  buffer.give_back(1000);
  CHECK(resident_pages(buffer) == all);
  buffer.give_back(buffer.size());
  CHECK(resident_pages(buffer) == 0);
  fill(buffer.size());
  CHECK(std::count(buffer.bytes().begin(), buffer.bytes().end(), 0xaa) == 8 << 20);
}

struct Row {
  FixedString<16> name;
  int value = 0;
};

TEST_CASE("a named table agrees with a map through many inserts and erases, and its slots stay put") {
  Rng rng(3);
  NamedTable<Row> table(20, 5);
  std::map<std::string, std::pair<Slot, int>> oracle;
  for (int step = 0; step < 20'000; ++step) {
    const std::string name = "n" + std::to_string(rng.below(std::uint64_t{40}));
    const auto known = oracle.find(name);
    if (known != oracle.end()) {
      REQUIRE(table.find(name) == known->second.first);
      REQUIRE(table[known->second.first].value == known->second.second);
      table.erase(known->second.first);
      oracle.erase(known);
      REQUIRE(table.find(name) == kNoSlot);
    } else if (!table.full()) {
      const Slot slot = table.insert(name);
      REQUIRE(table[slot].value == 0);  // Fresh, whoever had the slot.
      table[slot].value = step + 1;
      oracle[name] = {slot, step + 1};
    }
    if (rng.one_in(50)) rng.shuffle(table.order());
    REQUIRE(table.size() == oracle.size());
    std::map<std::string, Slot> seen;
    for (const Slot slot : table.slots()) seen[std::string(table[slot].name.view())] = slot;
    REQUIRE(seen.size() == oracle.size());
  }
  CHECK(table.capacity() == 20);
}

}  // namespace
}  // namespace shoal
