// The keys that a cluster shares, in order: the first, the primary, encrypts; each may decrypt. So a key is rotated
// without a gap: install the new one everywhere, use it everywhere, then remove the old one everywhere
// (gossip-protocol facts 1.4). An empty ring means that gossip is not encrypted.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/containers.h"
#include "wire/aead.h"

namespace shoal::wire {

enum class KeyResult : std::uint8_t {
  kOk,
  kBadSize,    // Not 16, 24 or 32 bytes.
  kFull,       // kKeysMax keys are there.
  kNotInRing,  // `use` of a key that was never added.
  kIsPrimary,  // `remove` of the primary.
};
/// As serf words it, where it has a word: it goes to other nodes and to operators. kOk is "".
[[nodiscard]] std::string_view to_text(KeyResult result);

/// At most kKeysMax keys in fixed memory (70 kB). After an error the ring is as it was.
class Keyring {
 public:
  static constexpr std::size_t kKeysMax = 16;

  Keyring() = default;
  Keyring(const Keyring&) = delete;  // Secrets have one owner.
  Keyring& operator=(const Keyring&) = delete;

  /// Puts the key last; the first one ever is the primary. A key that is there stays where it is.
  [[nodiscard]] KeyResult add(Bytes key);
  /// Puts a key of the ring first; the others keep their order.
  [[nodiscard]] KeyResult use(Bytes key);
  /// Forgets a key and wipes it. One that is not there is fine, and so is one of no valid size.
  [[nodiscard]] KeyResult remove(Bytes key);

  /// Forgets and wipes all of them.
  void clear();

  [[nodiscard]] bool empty() const { return order_.empty(); }
  [[nodiscard]] std::size_t size() const { return order_.size(); }
  /// In order, 0 is the primary. REQUIRES: i < size().
  [[nodiscard]] const AeadKey& operator[](std::size_t i) const { return keys_[order_[i]]; }
  [[nodiscard]] const AeadKey& primary() const { return (*this)[0]; }

 private:
  static constexpr std::size_t kNone = kKeysMax;
  [[nodiscard]] std::size_t find(Bytes key) const;  // Its place in the order, or kNone.

  std::array<AeadKey, kKeysMax> keys_;
  InlineVector<std::uint8_t, kKeysMax> order_;
};

}  // namespace shoal::wire
