#include "wire/keyring.h"

#include "base/check.h"

namespace shoal::wire {

std::string_view to_text(KeyResult result) {
  switch (result) {
    case KeyResult::kOk: return "";
    case KeyResult::kBadSize: return "key size must be 16, 24 or 32 bytes";
    case KeyResult::kFull: return "the keyring is full; remove a key that is no longer used";
    case KeyResult::kNotInRing: return "requested key is not in the keyring";
    case KeyResult::kIsPrimary: return "removing the primary key is not allowed";
  }
  SHOAL_UNREACHABLE();
}

std::size_t Keyring::find(Bytes key) const {
  for (std::size_t i = 0; i < size(); ++i) {
    if (same_bytes((*this)[i].raw(), key)) return i;
  }
  return kNone;
}

KeyResult Keyring::add(Bytes key) {
  if (!AeadKey::size_ok(key.size())) return KeyResult::kBadSize;
  if (find(key) != kNone) return KeyResult::kOk;
  if (order_.full()) return KeyResult::kFull;
  std::size_t slot = 0;
  while (!keys_[slot].raw().empty()) ++slot;  // As many keys as places in the order.
  keys_[slot].set(key);
  order_.push_back(static_cast<std::uint8_t>(slot));
  return KeyResult::kOk;
}

KeyResult Keyring::use(Bytes key) {
  const std::size_t at = find(key);
  if (at == kNone) return KeyResult::kNotInRing;
  const std::uint8_t slot = order_[at];
  for (std::size_t i = at; i > 0; --i) order_[i] = order_[i - 1];
  order_[0] = slot;
  return KeyResult::kOk;
}

void Keyring::clear() {
  for (AeadKey& key : keys_) key.clear();
  order_.clear();
}

KeyResult Keyring::remove(Bytes key) {
  const std::size_t at = find(key);
  if (at == kNone) return KeyResult::kOk;
  if (at == 0) return KeyResult::kIsPrimary;
  keys_[order_[at]].clear();
  order_.erase(at);
  return KeyResult::kOk;
}

}  // namespace shoal::wire
