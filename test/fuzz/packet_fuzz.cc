// Datagrams: opening stays inside its limits, and what was delivered can be sealed and opened again.
#include <vector>

#include "base/check.h"
#include "recode.h"
#include "target.h"
#include "wire/packet.h"

namespace {

using namespace shoal;
using Memory = std::vector<std::uint8_t>;

class Sink final : public wire::MessageSink {
 public:
  void on_message(wire::MessageType type, Bytes body) override {
    Memory message{static_cast<std::uint8_t>(type)};
    message.insert(message.end(), body.begin(), body.end());
    (void)wire::recode(message);
    messages.push_back(std::move(message));
  }
  std::vector<Memory> messages;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > wire::kDatagramBytesMax) return 0;
  static wire::PacketOpener opener(64 * 1024);
  static wire::PacketSealer sealers[] = {wire::PacketSealer(false), wire::PacketSealer(true)};
  Sink sink;
  (void)opener.open({data, size}, sink);
  for (wire::PacketSealer& sealer : sealers) {
    sealer.begin();
    std::size_t added = 0;
    while (added < sink.messages.size() && sealer.add(sink.messages[added])) ++added;
    Memory out(wire::kDatagramBytesMax);
    const std::size_t sealed = sealer.finish(added % 2 == 0, out);
    SHOAL_ASSERT((sealed > 0) == (added > 0));
    if (added == 0) continue;
    Sink again;
    SHOAL_ASSERT(wire::PacketOpener().open(Bytes(out).first(sealed), again) == wire::PacketFault::kNone);
    SHOAL_ASSERT(again.messages.size() == added);
    for (std::size_t i = 0; i < added; ++i) SHOAL_ASSERT(again.messages[i] == sink.messages[i]);
  }
  return 0;
}
