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
  std::vector<std::uint8_t> memory(2 * meta.size() + 64);
  ByteWriter out(memory);
  (void)wire::encode_member_tags(out, meta);
}

void look_at_filters(Bytes list) {
  wire::FilterReader filters(list);
  while (filters.next()) (void)filters.names("node");
}

template <typename Message>
void twice_the_same(Bytes body) {
  const auto once = wire::recode_as<Message>(body);
  if (!once) return;
  const auto twice = wire::recode_as<Message>(Bytes(*once).subspan(1));
  SHOAL_ASSERT(twice.has_value() && *once == *twice);
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
    twice_the_same<wire::ConflictResponse>(bytes.subspan(1));
    twice_the_same<wire::KeyRequest>(bytes.subspan(1));
    twice_the_same<wire::KeyResponse>(bytes.subspan(1));
  }
  look_at_meta(bytes);
  look_at_filters(bytes);
  Silent visitor;
  (void)wire::read_serf_state(bytes, visitor);
  return 0;
}
