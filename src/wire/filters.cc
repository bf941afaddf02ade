// The filters of a query: a list of blobs, each a kind byte and a msgpack object.
#include <array>

#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

constexpr std::uint8_t kNodesBlob = 0;
constexpr std::uint8_t kTagBlob = 1;

std::size_t raw_header_size(std::size_t size) { return size < 32 ? 1 : size <= 0xffff ? 3 : 5; }
std::size_t array_header_size(std::size_t size) { return size < 16 ? 1 : size <= 0xffff ? 3 : 5; }
std::size_t text_size(std::string_view text) { return raw_header_size(text.size()) + text.size(); }

// A blob of `size` bytes, whose content the caller writes next.
void begin_blob(ByteWriter& out, std::size_t size, std::uint8_t kind) {
  if (size > out.left()) return out.fail();
  msgpack::put_raw_header(out, static_cast<std::uint32_t>(size));
  out.u8(kind);
}

// The list of names in `blob`; false when it is anything else.
bool read_nodes(Bytes blob, Bytes& names) {
  msgpack::Reader in(blob);
  names = in.skip();
  if (!in.ok()) return false;
  msgpack::Reader list(names);
  const std::uint32_t count = list.read_array();
  for (std::uint32_t i = 0; i < count && list.ok(); ++i) (void)list.read_text();
  return list.ok();
}

bool read_tag(Bytes blob, TagFilter& out) {
  static constexpr std::array<std::string_view, 2> kNames = {"Tag", "Expr"};
  msgpack::Reader in(blob);
  out = {};
  if (blob.empty()) return false;
  msgpack::read_struct(in, kNames, [&](std::uint32_t field) { (field == 0 ? out.tag : out.expr) = in.read_text(); });
  return in.ok();
}

void encode_tag_filter(ByteWriter& out, const TagFilter& filter) {
  constexpr std::string_view kExpr = "Expr";
  constexpr std::string_view kTag = "Tag";
  begin_blob(out, 2 + text_size(kExpr) + text_size(filter.expr) + text_size(kTag) + text_size(filter.tag), kTagBlob);
  msgpack::put_map(out, 2);
  msgpack::put_text(out, kExpr, filter.expr);
  msgpack::put_text(out, kTag, filter.tag);
}

void encode_node_filter(ByteWriter& out, std::span<const std::string_view> nodes) {
  std::size_t size = 1 + array_header_size(nodes.size());
  for (const std::string_view node : nodes) size += text_size(node);
  begin_blob(out, size, kNodesBlob);
  msgpack::put_array(out, static_cast<std::uint32_t>(nodes.size()));
  for (const std::string_view node : nodes) msgpack::put_text(out, node);
}

}  // namespace

void encode_filters(ByteWriter& out, std::span<const TagFilter> tags, std::span<const std::string_view> nodes) {
  const std::size_t blobs = tags.size() + (nodes.empty() ? 0 : 1);
  if (blobs == 0) return;
  msgpack::put_array(out, static_cast<std::uint32_t>(blobs));
  for (const TagFilter& tag : tags) encode_tag_filter(out, tag);
  if (!nodes.empty()) encode_node_filter(out, nodes);
}

FilterReader::FilterReader(Bytes filters) {
  if (filters.empty()) return;
  msgpack::Reader in(filters);
  left_ = in.read_array();
  rest_ = in.rest();
  malformed_ = !in.ok();
}

bool FilterReader::next() {
  if (left_ == 0) return false;
  msgpack::Reader in(rest_);
  const Bytes blob = in.read_bytes();
  if (!in.ok()) {
    malformed_ = true;
    left_ = 0;
    return false;
  }
  rest_ = in.rest();
  --left_;
  kind_ = Kind::kUnknown;
  names_ = {};
  tag_ = {};
  if (blob.empty()) return true;
  const Bytes body = blob.subspan(1);
  if (blob[0] == kNodesBlob && read_nodes(body, names_)) kind_ = Kind::kNodes;
  if (blob[0] == kTagBlob && read_tag(body, tag_)) kind_ = Kind::kTag;
  return true;
}

bool FilterReader::names(std::string_view node) const {
  if (kind_ != Kind::kNodes) return false;
  msgpack::Reader in(names_);
  const std::uint32_t count = in.read_array();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    if (in.read_text() == node) return in.ok();
  }
  return false;
}

}  // namespace shoal::wire
