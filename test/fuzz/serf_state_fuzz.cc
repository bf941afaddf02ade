// Serf's part of a push/pull: told once and whole or not at all; what was told, written again, tells the same.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "target.h"
#include "wire/messages.h"

namespace {

using namespace shoal;

struct Told final : wire::SerfStateVisitor {
  struct Name {
    std::string node;
    std::uint64_t ltime;
    bool left;
    bool operator==(const Name&) const = default;
  };
  void on_clocks(const wire::SerfStateClocks& seen) override {
    SHOAL_ASSERT(calls++ == 0);
    clocks = seen;
  }
  void on_status(std::string_view node, std::uint64_t ltime, bool left) override {
    SHOAL_ASSERT(calls++ > 0 && events == 0);
    SHOAL_ASSERT(!left || names.empty() || names.back().left);  // The left ones come first.
    names.push_back({std::string(node), ltime, left});
  }
  void on_event(const wire::UserEvent& event) override {
    SHOAL_ASSERT(calls++ > 0);
    ++events;
    bytes += event.name.size() + event.payload.size();
  }
  int calls = 0;
  std::size_t events = 0, bytes = 0;
  wire::SerfStateClocks clocks;
  std::vector<Name> names;
};

bool one_name_twice(std::vector<Told::Name> names) {
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
  return std::adjacent_find(names.begin(), names.end(),
                            [](const auto& a, const auto& b) { return a.node == b.node; }) != names.end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Told first;
  if (!wire::read_serf_state({data, size}, first)) {
    SHOAL_ASSERT(first.calls == 0);
    return 0;
  }
  SHOAL_ASSERT(first.calls > 0 && first.bytes <= size);
  if (one_name_twice(first.names)) return 0;

  std::vector<std::uint8_t> memory(4 * size + 32 * first.names.size() + 256);
  ByteWriter out(memory);
  const auto lefts = std::count_if(first.names.begin(), first.names.end(), [](const auto& n) { return n.left; });
  wire::SerfStateWriter writer(out, first.clocks, static_cast<std::uint32_t>(first.names.size()),
                               static_cast<std::uint32_t>(lefts));
  for (const auto& name : first.names) writer.status(name.node, name.ltime);
  for (const auto& name : first.names) {
    if (name.left) writer.left(name.node);
  }
  SHOAL_ASSERT(out.ok());
  Told second;
  SHOAL_ASSERT(wire::read_serf_state(out.written(), second));
  SHOAL_ASSERT(second.names == first.names);
  SHOAL_ASSERT(second.clocks.ltime == first.clocks.ltime && second.clocks.event_ltime == first.clocks.event_ltime);
  SHOAL_ASSERT(second.clocks.query_ltime == first.clocks.query_ltime);
  return 0;
}
