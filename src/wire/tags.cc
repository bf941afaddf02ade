// Tags: the Meta of an alive message is FF and a map of text to text. Before serf protocol 3 Meta was the role alone.
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

constexpr std::uint8_t kTagsMagic = 0xff;

}  // namespace

namespace detail {

int next_tag(Bytes meta, TagWalk& walk) {
  if (!walk.started) {
    walk.started = true;
    if (meta.empty() || meta[0] != kTagsMagic) {
      walk.key = "role";
      walk.value = as_text(meta);
      return 1;
    }
    msgpack::Reader in(meta.subspan(1));
    walk.left = in.read_map();
    walk.rest = in.rest();
    if (!in.ok()) return -1;
  }
  if (walk.left == 0) return 0;
  msgpack::Reader in(walk.rest);
  walk.key = in.read_key();
  walk.value = in.read_text();
  if (!in.ok()) return -1;
  walk.rest = in.rest();
  --walk.left;
  return 1;
}

}  // namespace detail

std::string_view tag_value(Bytes meta, std::string_view key) {
  std::string_view found;
  const bool whole = for_each_tag(meta, [&](std::string_view k, std::string_view value) {
    if (k == key) found = value;
  });
  return whole ? found : std::string_view{};
}

void encode_tags_header(ByteWriter& out, std::uint32_t tags) {
  out.u8(kTagsMagic);
  msgpack::put_map(out, tags);
}

void encode_tag(ByteWriter& out, std::string_view key, std::string_view value) { msgpack::put_text(out, key, value); }

bool encode_member_tags(ByteWriter& out, Bytes meta) {
  std::uint32_t tags = 0;
  if (!for_each_tag(meta, [&](std::string_view, std::string_view) { ++tags; })) return false;
  msgpack::put_map(out, tags);
  return for_each_tag(meta, [&](std::string_view key, std::string_view value) { encode_tag(out, key, value); });
}

}  // namespace shoal::wire
