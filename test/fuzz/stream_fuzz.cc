// Streams: however the bytes are cut, the answer is the same; a complete push/pull has the nodes that it promises.
#include <vector>

#include "base/check.h"
#include "target.h"
#include "wire/stream.h"

namespace {

using namespace shoal;

std::size_t nodes_of(const wire::StreamReader& reader) {
  std::size_t nodes = 0;
  reader.for_each_node([&](const wire::NodeState&) { ++nodes; });
  return nodes;
}

class Silent final : public wire::SerfStateVisitor {
 public:
  void on_clocks(const wire::SerfStateClocks&) override {}
  void on_status(std::string_view, std::uint64_t, bool) override {}
  void on_event(const wire::UserEvent&) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  std::vector<std::uint8_t> scratch(16 * 1024), other(16 * 1024);
  wire::StreamReader whole(scratch);
  const wire::StreamStatus status = whole.advance(bytes);

  wire::StreamReader pieces(other);
  wire::StreamStatus last = wire::StreamStatus::kIncomplete;
  for (std::size_t have = 0; have <= size && last == wire::StreamStatus::kIncomplete; ++have) {
    last = pieces.advance(bytes.first(have));
  }
  SHOAL_ASSERT(last == status);
  if (status != wire::StreamStatus::kComplete) return 0;
  SHOAL_ASSERT(whole.type() == pieces.type());
  SHOAL_ASSERT(whole.body().size() == pieces.body().size());
  if (whole.type() != wire::MessageType::kPushPull) return 0;
  SHOAL_ASSERT(nodes_of(whole) == whole.header().nodes);
  SHOAL_ASSERT(nodes_of(pieces) == whole.header().nodes);
  Silent visitor;
  (void)wire::read_serf_state(whole.user_state(), visitor);
  return 0;
}
