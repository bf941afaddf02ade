// AES-GCM as memberlist seals with it (gossip-protocol facts 1.4), over nettle, which no other file may include.
//
//   sealed := version(1) nonce(12) ciphertext tag(16)
//
// Version 1 has the plaintext as it is and is what we write. Version 0 pads it to 16 bytes by PKCS#7 first and is only
// read. The key's size says whether it is AES-128, 192 or 256.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace shoal::wire {

inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kSealFrontBytes = 1 + kNonceBytes;                 // Before the ciphertext.
inline constexpr std::size_t kSealOverheadBytes = kSealFrontBytes + kTagBytes;  // Of version 1.
inline constexpr std::size_t kSealedBytesMin = kSealOverheadBytes;              // Nothing shorter was sealed.
inline constexpr std::size_t kAeadKeyBytesMax = 32;

/// Overwrites memory in a way that no compiler leaves out.
void wipe(MutableBytes memory);

/// One key, expanded for use: 4.3 kB. Wiped when it goes.
class AeadKey {
 public:
  AeadKey() = default;
  ~AeadKey() { clear(); }
  AeadKey(const AeadKey&) = delete;  // Secrets have one owner.
  AeadKey& operator=(const AeadKey&) = delete;

  [[nodiscard]] static constexpr bool size_ok(std::size_t size) { return size == 16 || size == 24 || size == 32; }
  /// REQUIRES: size_ok(raw.size()).
  void set(Bytes raw);
  /// Forgets the key and wipes what was made of it.
  void clear();
  /// Empty when none is set.
  [[nodiscard]] Bytes raw() const { return Bytes(raw_).first(size_); }

 private:
  friend struct AeadAccess;
  // What nettle makes of the key: its table for the tag, then the round keys. Sizes are checked in aead.cc.
  static constexpr std::size_t kExpandedBytes = 4096 + 240;

  alignas(16) std::array<std::uint8_t, kExpandedBytes> expanded_;
  std::array<std::uint8_t, kAeadKeyBytesMax> raw_;
  std::size_t size_ = 0;
};

/// Nonces: the key stream of AES-256 in counter mode under a seed, so that they repeat for nobody who does not know it,
/// and for a simulator that gives the same seed come out the same. The only source of chance in sealing. A seed must
/// never be used twice with one key by a program: take it from the kernel. GCM wants no more than 2^32 random nonces
/// under one key; a busy node makes some hundred a second, which is years.
class NonceSource {
 public:
  static constexpr std::size_t kSeedBytes = 32;

  explicit NonceSource(const std::array<std::uint8_t, kSeedBytes>& seed);
  ~NonceSource();
  NonceSource(const NonceSource&) = delete;  // A copy would give the same nonces again.
  NonceSource& operator=(const NonceSource&) = delete;

  void next(std::span<std::uint8_t, kNonceBytes> out);

 private:
  static constexpr std::size_t kExpandedBytes = 240;

  alignas(16) std::array<std::uint8_t, kExpandedBytes> expanded_;
  std::uint64_t counter_ = 0;
};

/// Seals in place: `memory` is kSealFrontBytes of room, the plaintext, kTagBytes of room; it is all used. `aad` is
/// authenticated and not sent. REQUIRES: the plaintext is not empty (Go peers crash on that).
void seal(const AeadKey& key, NonceSource& nonces, Bytes aad, MutableBytes memory);

enum class OpenStatus : std::uint8_t {
  kOk,
  kNotSealed,   // No version that we know, or too short: plaintext, most likely. Nothing was touched.
  kBadKey,      // Another key, other additional data, or damaged. The memory of `plain` is as it was, or garbage when
                // it is not the place of the ciphertext.
  kBadPadding,  // Version 0, authentic, and wrongly padded.
};

/// Opens `sealed` with one key into `memory`, which has room for sealed.size() - kSealOverheadBytes bytes: the place of
/// the ciphertext in `sealed` itself, or memory that does not overlap it. For kOk its first `plain_size` bytes are the
/// plaintext, which may be none.
[[nodiscard]] OpenStatus open(const AeadKey& key, Bytes aad, Bytes sealed, MutableBytes memory,
                              std::size_t& plain_size);

}  // namespace shoal::wire
