// Where an outbox keeps the payloads that its effects point to. Sized once; cleared with the outbox.
#pragma once

#include "announce/codec.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/containers.h"

namespace shoal::announce {

class PayloadArena {
 public:
  explicit PayloadArena(std::size_t payloads_max) : memory_(payloads_max * kPayloadBytesMax) {}

  /// Encodes in place; valid until clear(). REQUIRES: room, which the owner derives from its limits.
  template <typename Message>
  Bytes encode(const Message& message) {
    SHOAL_ASSERT(memory_.size() - used_ >= kPayloadBytesMax);
    const Bytes written = announce::encode(message, memory_.bytes().subspan(used_));
    used_ += written.size();
    return written;
  }
  void clear() { used_ = 0; }

 private:
  Buffer memory_;
  std::size_t used_ = 0;
};

}  // namespace shoal::announce
