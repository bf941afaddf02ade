// Messages: what decodes can be written, and what was written reads the same again.
#include <vector>

#include "base/check.h"
#include "recode.h"
#include "target.h"

namespace {

using namespace shoal;

class Silent final : public wire::SerfStateVisitor {
 public:
  void on_clocks(const wire::SerfStateClocks&) override {}
  void on_status(std::string_view, std::uint64_t, bool) override {}
  void on_event(const wire::UserEvent&) override {}
};

void look_at_meta(Bytes meta) {
  (void)wire::for_each_tag(meta, [](std::string_view, std::string_view) {});
  (void)wire::tag_value(meta, "role");
}

void look_at_filters(Bytes list) {
  wire::FilterReader filters(list);
  while (filters.next()) (void)filters.names("node");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  if (const auto once = wire::recode(bytes)) {
    const auto twice = wire::recode(*once);
    SHOAL_ASSERT(twice.has_value());
    SHOAL_ASSERT(*once == *twice);
  }
  if (size > 0) {
    wire::NodeState node;
    (void)decode(bytes.subspan(1), node);
    wire::Query query;
    if (decode(bytes.subspan(1), query)) look_at_filters(query.filters);
    wire::UserHeader header;
    (void)decode(bytes.subspan(1), header);
  }
  look_at_meta(bytes);
  look_at_filters(bytes);
  Silent visitor;
  (void)wire::read_serf_state(bytes, visitor);
  return 0;
}
