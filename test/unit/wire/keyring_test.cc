#include "wire/keyring.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "support/hex.h"

namespace shoal::wire {
namespace {

using Memory = std::vector<std::uint8_t>;

// Key "a" is 16 times 'a', "A" 32 times 'A', "1" 24 times '1'.
Memory key(char name) {
  const std::size_t size = name >= 'a' ? 16 : name >= 'A' ? 32 : 24;
  return Memory(size, static_cast<std::uint8_t>(name));
}

std::string order(const Keyring& ring) {
  std::string out;
  for (std::size_t i = 0; i < ring.size(); ++i) {
    const Bytes raw = ring[i].raw();
    CHECK(same_bytes(raw, key(static_cast<char>(raw[0]))));
    out += static_cast<char>(raw[0]);
  }
  return out.empty() ? "-" : out;
}

KeyResult apply(Keyring& ring, const std::string& what, char name) {
  if (what == "add") return ring.add(key(name));
  if (what == "use") return ring.use(key(name));
  REQUIRE(what == "remove");
  return ring.remove(key(name));
}

TEST_CASE("the ring keeps the order that adding, using and removing give it") {
  Keyring ring;
  std::istringstream steps(R"(
    use    a  -     requested key is not in the keyring
    remove a  -     ok
    add    a  a     ok
    add    a  a     ok
    remove a  a     removing the primary key is not allowed
    add    A  aA    ok
    add    1  aA1   ok
    add    A  aA1   ok
    remove b  aA1   ok
    use    b  aA1   requested key is not in the keyring
    use    1  1aA   ok
    use    1  1aA   ok
    remove 1  1aA   removing the primary key is not allowed
    remove a  1A    ok
    remove a  1A    ok
    add    b  1Ab   ok
    use    b  b1A   ok
    remove A  b1    ok
    remove 1  b     ok
    add    A  bA    ok
  )");
  std::string line;
  while (std::getline(steps, line)) {
    std::istringstream words(line);
    std::string what, name, expected, result;
    if (!(words >> what >> name >> expected)) continue;
    std::getline(words >> std::ws, result);
    CAPTURE(line);
    const KeyResult got = apply(ring, what, name[0]);
    CHECK(to_text(got) == (result == "ok" ? "" : result));
    CHECK(order(ring) == expected);
    CHECK(ring.empty() == (expected == "-"));
  }
  CHECK(to_text(ring.primary().raw().size() == 16 ? KeyResult::kOk : KeyResult::kFull).empty());
}

TEST_CASE("only keys of AES fit") {
  Keyring ring;
  for (std::size_t size = 0; size <= 40; ++size) {
    const Memory raw(size, 1);
    const bool good = size == 16 || size == 24 || size == 32;
    CHECK(ring.add(raw) == (good ? KeyResult::kOk : KeyResult::kBadSize));
  }
  CHECK(ring.size() == 3);
  CHECK(to_text(KeyResult::kBadSize) == "key size must be 16, 24 or 32 bytes");
  CHECK(ring.use({}) == KeyResult::kNotInRing);
  CHECK(ring.remove({}) == KeyResult::kOk);
  CHECK(ring.size() == 3);
}

TEST_CASE("sixteen keys fit; a seventeenth is refused until one goes") {
  Keyring ring;
  for (std::size_t i = 0; i < Keyring::kKeysMax; ++i)
    REQUIRE(ring.add(key(static_cast<char>('a' + i))) == KeyResult::kOk);
  CHECK(ring.add(key('z')) == KeyResult::kFull);
  CHECK(order(ring) == "abcdefghijklmnop");
  CHECK(ring.add(key('c')) == KeyResult::kOk);
  CHECK(ring.remove(key('c')) == KeyResult::kOk);
  CHECK(ring.add(key('z')) == KeyResult::kOk);
  CHECK(order(ring) == "abdefghijklmnopz");
  CHECK(ring.use(key('z')) == KeyResult::kOk);
  CHECK(order(ring) == "zabdefghijklmnop");
}

TEST_CASE("a removed key is wiped from memory") {
  Keyring ring;
  REQUIRE(ring.add(key('a')) == KeyResult::kOk);
  REQUIRE(ring.add(key('B')) == KeyResult::kOk);
  const Bytes all(reinterpret_cast<const std::uint8_t*>(&ring), sizeof ring);
  const Memory secret(16, 'B');
  const auto there = [&] { return std::search(all.begin(), all.end(), secret.begin(), secret.end()) != all.end(); };
  CHECK(there());
  REQUIRE(ring.remove(key('B')) == KeyResult::kOk);
  CHECK_FALSE(there());
}

}  // namespace
}  // namespace shoal::wire
