#include "wire/aead.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "golden.h"
#include "support/hex.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Memory = std::vector<std::uint8_t>;

constexpr std::string_view kGoldenKey = "0123456789abcdef";

struct Opened {
  OpenStatus status;
  std::string hex;  // The plaintext.
};

Opened open_with(Bytes raw_key, Bytes aad, Bytes sealed) {
  AeadKey key;
  key.set(raw_key);
  Memory memory(sealed.size());
  std::size_t size = 0;
  const OpenStatus status = open(key, aad, sealed, memory, size);
  return {status, status == OpenStatus::kOk ? to_hex(Bytes(memory).first(size)) : ""};
}

Memory sealed_by(Bytes raw_key, NonceSource& nonces, Bytes aad, Bytes plain) {
  AeadKey key;
  key.set(raw_key);
  Memory memory(kSealFrontBytes + plain.size() + kTagBytes);
  std::copy(plain.begin(), plain.end(), memory.begin() + kSealFrontBytes);
  seal(key, nonces, aad, memory);
  return memory;
}

TEST_CASE("G26 to G29: what memberlist has sealed is opened") {
  const Bytes key = as_bytes(kGoldenKey);
  const Memory g26 = from_hex(golden("G26"));
  CHECK(open_with(key, {}, g26).hex == golden("G01"));
  const Memory g27 = from_hex(golden("G27"));
  CHECK(open_with(key, as_bytes("lbl"), Bytes(g27).subspan(5)).hex == golden("G01"));
  CHECK(open_with(key, {}, Bytes(g27).subspan(5)).status == OpenStatus::kBadKey);  // The label is authenticated.
  const Memory g28 = from_hex(golden("G28"));
  CHECK(open_with(key, {}, g28).hex == golden("G01"));
  const Memory g29 = from_hex(golden("G29"));
  CHECK(open_with(key, Bytes(g29).first(5), Bytes(g29).subspan(5)).hex == golden("G01"));
  CHECK(open_with(key, {}, Bytes(g29).subspan(5)).status == OpenStatus::kBadKey);
}

TEST_CASE("every size of key seals and opens messages of every size, where they lie or elsewhere") {
  NonceSource nonces({1, 2, 3});
  const Memory aad = from_hex("0a00000102");
  for (const std::size_t key_size : {16U, 24U, 32U}) {
    const Memory raw(key_size, 7);
    AeadKey key;
    key.set(raw);
    CHECK(to_hex(key.raw()) == to_hex(raw));
    for (const std::size_t size : {1U, 15U, 16U, 17U, 255U, 1'400U, 65'000U}) {
      CAPTURE(size);
      Memory plain(size);
      for (std::size_t i = 0; i < size; ++i) plain[i] = static_cast<std::uint8_t>(i * 31);
      Memory sealed = sealed_by(raw, nonces, aad, plain);
      CHECK(sealed.size() == size + kSealOverheadBytes);
      CHECK(sealed[0] == 1);
      CHECK(open_with(raw, aad, sealed).hex == to_hex(plain));
      std::size_t plain_size = 0;
      const MutableBytes place = MutableBytes(sealed).subspan(kSealFrontBytes, size);
      REQUIRE(open(key, aad, sealed, place, plain_size) == OpenStatus::kOk);
      CHECK(plain_size == size);
      CHECK(same_bytes(place, plain));
    }
  }
}

TEST_CASE("a flipped bit anywhere is refused, and a failed try in place leaves the ciphertext for the next key") {
  const Bytes key = as_bytes(kGoldenKey);
  AeadKey right, wrong;
  right.set(key);
  const Memory raw_wrong(32, 9);
  wrong.set(raw_wrong);
  for (const char* id : {"G26", "G28"}) {
    const Memory whole = from_hex(golden(id));
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      Memory damaged = whole;
      damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ 1U << bit % 8);
      const OpenStatus status = open_with(key, {}, damaged).status;
      if (bit == 0) {
        // The version is not authenticated: the ping with its padding, or without its last byte, which is a 1.
        CHECK(status == OpenStatus::kOk);
      } else {
        CHECK(status == (bit < 8 ? OpenStatus::kNotSealed : OpenStatus::kBadKey));
      }
    }
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const OpenStatus status = open_with(key, {}, Bytes(whole).first(size)).status;
      CHECK(status == (size < (whole[0] == 0 ? 45U : 29U) ? OpenStatus::kNotSealed : OpenStatus::kBadKey));
    }
    Memory memory = whole;
    std::size_t plain_size = 0;
    const MutableBytes place = MutableBytes(memory).subspan(kSealFrontBytes, memory.size() - kSealOverheadBytes);
    CHECK(open(wrong, {}, memory, place, plain_size) == OpenStatus::kBadKey);
    CHECK(to_hex(memory) == golden(id));
    CHECK(open(right, as_bytes("label"), memory, place, plain_size) == OpenStatus::kBadKey);
    CHECK(to_hex(memory) == golden(id));
    CHECK(open(right, {}, memory, place, plain_size) == OpenStatus::kOk);
    CHECK(to_hex(place.first(plain_size)) == golden("G01"));
  }
}

TEST_CASE("padding of version 0 is checked in every byte") {
  NonceSource nonces({});
  const Memory key(16, 1);
  const auto opened = [&](std::string_view padded) {
    Memory sealed = sealed_by(key, nonces, {}, from_hex(padded));
    sealed[0] = 0;
    return open_with(key, {}, sealed);
  };
  const std::string filler = "00112233445566778899aabbcc";  // 13 bytes.
  CHECK(opened(filler + "030303").hex == filler);
  CHECK(opened(filler + "020202").hex == filler + "02");
  CHECK(opened(filler + filler.substr(0, 4) + "01").hex == filler + filler.substr(0, 4));
  CHECK(opened("10101010101010101010101010101010").status == OpenStatus::kOk);  // Nothing but padding.
  CHECK(opened("10101010101010101010101010101010").hex.empty());
  for (const char* end : {"020303", "030203", "000000", "030300", "111111", "ffffff", "101010", "040404"}) {
    CAPTURE(end);
    CHECK(opened(filler + end).status == OpenStatus::kBadPadding);
  }
}

TEST_CASE("nonces are the key stream of AES-256: known for a known seed, none twice") {
  NonceSource zero({});
  std::array<std::uint8_t, kNonceBytes> nonce{};
  zero.next(nonce);
  CHECK(to_hex(nonce) == "dc95c078a2408989ad48a214");  // AES-256 of 16 zero bytes under 32.
  std::set<std::string> seen{to_hex(nonce)};
  for (int i = 0; i < 10'000; ++i) {
    zero.next(nonce);
    CHECK(seen.insert(to_hex(nonce)).second);
  }
  NonceSource one({1}), same({1});
  std::array<std::uint8_t, kNonceBytes> other{};
  for (int i = 0; i < 10; ++i) {
    one.next(nonce);
    same.next(other);
    CHECK(nonce == other);
    CHECK(seen.insert(to_hex(nonce)).second);
  }
}

TEST_CASE("each message is sealed under a nonce of its own") {
  NonceSource nonces({5});
  const Memory key(32, 1), plain(40, 2);
  const Memory first = sealed_by(key, nonces, {}, plain);
  const Memory second = sealed_by(key, nonces, {}, plain);
  CHECK(to_hex(Bytes(first).subspan(1, kNonceBytes)) != to_hex(Bytes(second).subspan(1, kNonceBytes)));
  CHECK(to_hex(Bytes(first).subspan(13, 40)) != to_hex(Bytes(second).subspan(13, 40)));
}

TEST_CASE("a key that is cleared is gone from memory") {
  AeadKey key;
  CHECK(key.raw().empty());
  const Memory raw(16, 0x5a);
  key.set(raw);
  key.clear();
  CHECK(key.raw().empty());
  const Bytes all(reinterpret_cast<const std::uint8_t*>(&key), sizeof key - 16);  // But for the size and the padding.
  CHECK(std::all_of(all.begin(), all.end(), [](std::uint8_t byte) { return byte == 0; }));
}

}  // namespace
}  // namespace shoal::wire
