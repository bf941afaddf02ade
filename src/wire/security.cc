#include "wire/security.h"

#include <algorithm>

#include "base/check.h"
#include "wire/messages.h"

namespace shoal::wire {

LabelStatus check_label(const Security& security, Bytes received, std::size_t& size) {
  constexpr auto kHasLabel = static_cast<std::uint8_t>(MessageType::kHasLabel);
  const std::string_view label = security.label;
  size = security.label_header_bytes();
  if (received.empty()) return LabelStatus::kIncomplete;
  if (label.empty()) return received[0] == kHasLabel ? LabelStatus::kBad : LabelStatus::kOk;
  if (received[0] != kHasLabel) return LabelStatus::kBad;
  if (received.size() == 1) return LabelStatus::kIncomplete;
  if (received[1] != label.size()) return LabelStatus::kBad;
  const Bytes theirs = received.subspan(2, std::min(label.size(), received.size() - 2));
  if (as_text(theirs) != label.substr(0, theirs.size())) return LabelStatus::kBad;
  return theirs.size() == label.size() ? LabelStatus::kOk : LabelStatus::kIncomplete;
}

void put_label(ByteWriter& out, std::string_view label) {
  SHOAL_ASSERT(label.size() <= kLabelBytesMax);
  if (label.empty()) return;
  out.u8(static_cast<std::uint8_t>(MessageType::kHasLabel));
  out.u8(static_cast<std::uint8_t>(label.size()));
  out.put(label);
}

OpenStatus open_with_ring(const Keyring& keyring, Bytes aad, Bytes sealed, MutableBytes memory,
                          std::size_t& plain_size) {
  SHOAL_ASSERT(!keyring.empty());
  OpenStatus status = OpenStatus::kBadKey;
  for (std::size_t i = 0; i < keyring.size() && status == OpenStatus::kBadKey; ++i) {
    status = open(keyring[i], aad, sealed, memory, plain_size);
  }
  return status;
}

}  // namespace shoal::wire
