// Compounds: what is delivered, and the first fault, are what a plain reading of the format says, nested ones too; and
// parts of any sizes come out of a compound as they went in.
#include <string>
#include <vector>

#include "base/check.h"
#include "input.h"
#include "target.h"
#include "wire/packet.h"

namespace {

using namespace shoal;
using wire::MessageType;
using wire::PacketFault;

struct Parts final : wire::MessageSink {
  void on_message(MessageType type, Bytes body) override {
    all.push_back(std::string(1, static_cast<char>(type)) + fuzz::copy_of(body));
  }
  std::vector<std::string> all;
};

/// The format as it is written down, in the slowest words. Knows nothing of compression.
struct Model {
  void message(const std::string& bytes, int depth) {
    if (depth > wire::PacketOpener::kDepthMax) return fault(PacketFault::kTooDeep);
    const auto type = static_cast<MessageType>(bytes[0]);
    const bool plain = type <= MessageType::kDead || type == MessageType::kUser || type == MessageType::kNack;
    if (plain && out.size() == wire::PacketOpener::kMessagesMax) return fault(PacketFault::kTooMany);
    if (plain) return out.push_back(bytes);
    if (type == MessageType::kCompress) compressed = true;
    if (type != MessageType::kCompound) return fault(PacketFault::kUnsupported);
    compound(bytes.substr(1), depth);
  }

  void compound(const std::string& body, int depth) {
    const auto at = [&body](std::size_t i) { return static_cast<std::size_t>(static_cast<std::uint8_t>(body[i])); };
    const std::size_t count = body.empty() ? 0 : at(0);
    if (body.size() < 1 + 2 * count || body.empty()) return fault(PacketFault::kTruncatedCompound);
    std::size_t from = 1 + 2 * count;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t size = at(1 + 2 * i) * 256 + at(2 + 2 * i);
      if (body.size() - from < size) return fault(PacketFault::kTruncatedCompound);
      if (size == 0) {
        fault(PacketFault::kEmptyPart);
      } else {
        message(body.substr(from, size), depth + 1);
      }
      from += size;
    }
  }

  void fault(PacketFault what) {
    if (first == PacketFault::kNone) first = what;
  }

  std::vector<std::string> out;
  PacketFault first = PacketFault::kNone;
  bool compressed = false;
};

void put_together(fuzz::Input input) {
  static wire::PacketSealer sealer(false);
  static wire::PacketOpener opener;
  std::vector<std::string> parts;
  sealer.begin();
  while (!input.empty()) {
    std::string part(1, static_cast<char>(MessageType::kUser));
    part += as_text(input.flag() ? input.bytes() : input.short_bytes());
    if (!sealer.add(as_bytes(part))) {
      SHOAL_ASSERT(!parts.empty() || part.size() > 60'000);
      break;
    }
    parts.push_back(part);
  }
  if (parts.empty()) return;
  std::vector<std::uint8_t> out(wire::kDatagramBytesMax);
  const std::size_t size = sealer.finish(false, out);
  SHOAL_ASSERT(parts.size() <= wire::kCompoundPartsMax);
  Parts back;
  SHOAL_ASSERT(opener.open(Bytes(out).first(size), back) == PacketFault::kNone);
  SHOAL_ASSERT(back.all == parts);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size >= wire::kDatagramBytesMax) return 0;
  static wire::PacketOpener opener(64 * 1024);
  const std::string datagram =
      std::string(1, static_cast<char>(MessageType::kCompound)) + fuzz::copy_of(Bytes(data, size));
  Parts parts;
  const PacketFault fault = opener.open(as_bytes(datagram), parts);
  Model model;
  model.message(datagram, 0);
  if (!model.compressed) {
    SHOAL_ASSERT(parts.all == model.out);
    SHOAL_ASSERT(fault == model.first);
  }
  put_together(fuzz::Input(data, size));
  return 0;
}
