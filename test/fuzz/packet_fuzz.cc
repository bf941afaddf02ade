// Datagrams: opening stays inside its limits, what was delivered can be sealed and opened again, and under encryption
// and a label the same comes out as without.
#include <vector>

#include "base/check.h"
#include "recode.h"
#include "security.h"
#include "target.h"
#include "wire/packet.h"

namespace {

using namespace shoal;
using Memory = std::vector<std::uint8_t>;
using wire::PacketFault;

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

fuzz::Secrets& secrets() {
  static fuzz::Secrets out;
  return out;
}

void seal_again(const std::vector<Memory>& messages, wire::PacketSealer& sealer, const wire::Security& security) {
  sealer.begin(security);
  std::size_t added = 0;
  while (added < messages.size() && sealer.add(messages[added])) ++added;
  Memory out(wire::kDatagramBytesMax);
  const std::size_t sealed = sealer.finish(added % 2 == 0, out);
  SHOAL_ASSERT((sealed > 0) == (added > 0));
  if (added == 0) return;
  Sink again;
  static wire::PacketOpener opener;
  SHOAL_ASSERT(opener.open(Bytes(out).first(sealed), again, security) == PacketFault::kNone);
  SHOAL_ASSERT(again.messages.size() == added);
  for (std::size_t i = 0; i < added; ++i) SHOAL_ASSERT(again.messages[i] == messages[i]);
}

/// The same bytes as another cluster member would send them.
void open_under(std::string_view label, Bytes plain, PacketFault fault, const std::vector<Memory>& messages,
                wire::PacketOpener& opener) {
  const wire::Security security = secrets().with(label);
  Memory datagram(512);
  ByteWriter front(datagram);
  wire::put_label(front, label);
  datagram.resize(front.size());
  const Memory sealed = secrets().seal(plain, as_bytes(label), plain.size() % 2 == 0);
  datagram.insert(datagram.end(), sealed.begin(), sealed.end());
  if (datagram.size() > wire::kDatagramBytesMax) return;
  Sink sink;
  const PacketFault got = opener.open(datagram, sink, security);
  SHOAL_ASSERT(sink.messages == messages);
  // A label in clear is one that we do not have; under encryption it may not stand at all.
  SHOAL_ASSERT(got == fault || plain[0] == static_cast<std::uint8_t>(wire::MessageType::kHasLabel));
  // Any damage is seen.
  datagram[plain[0] % datagram.size()] ^= 0x20;
  Sink none;
  SHOAL_ASSERT(opener.open(datagram, none, security) != PacketFault::kNone && none.messages.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > wire::kDatagramBytesMax) return 0;
  static wire::PacketOpener opener(64 * 1024);
  static wire::PacketSealer sealers[] = {wire::PacketSealer(false), wire::PacketSealer(true)};
  const Bytes datagram(data, size);
  Sink sink;
  const PacketFault fault = opener.open(datagram, sink);
  for (wire::PacketSealer& sealer : sealers) seal_again(sink.messages, sealer, {});
  seal_again(sink.messages, sealers[0], secrets().with("lan"));
  if (size > 0) {
    open_under("", datagram, fault, sink.messages, opener);
    open_under("lan", datagram, fault, sink.messages, opener);
  }
  // As it stands, to nodes with keys and with a label.
  Sink keyed, labelled;
  (void)opener.open(datagram, keyed, secrets().with("lan"));
  (void)opener.open(datagram, labelled, {nullptr, "lan", nullptr});
  SHOAL_ASSERT(keyed.messages.empty());
  return 0;
}
