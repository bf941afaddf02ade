// Tags, query filters and the expressions in them: walks end, what a filter names is found again when it is written
// anew, and an expression from the network costs bounded time.
#include <map>
#include <vector>

#include "base/check.h"
#include "input.h"
#include "serf/tag_match.h"
#include "target.h"
#include "wire/messages.h"

namespace {

using namespace shoal;

void tags(Bytes meta) {
  std::vector<std::pair<std::string, std::string>> found;
  const bool whole =
      wire::for_each_tag(meta, [&](std::string_view key, std::string_view value) { found.emplace_back(key, value); });
  SHOAL_ASSERT(whole || wire::tag_value(meta, "role").empty());
  if (!whole) return;
  std::map<std::string, std::string> last;
  for (const auto& [key, value] : found) last[key] = value;
  for (const auto& [key, value] : last) SHOAL_ASSERT(wire::tag_value(meta, key) == value);
  std::vector<std::uint8_t> memory(2 * meta.size() + 64 + 8 * found.size());
  ByteWriter out(memory);
  wire::encode_tags_header(out, static_cast<std::uint32_t>(found.size()));
  for (const auto& [key, value] : found) wire::encode_tag(out, key, value);
  SHOAL_ASSERT(out.ok());
  std::size_t at = 0;
  const bool again = wire::for_each_tag(out.written(), [&](std::string_view key, std::string_view value) {
    SHOAL_ASSERT(at < found.size() && found[at].first == key && found[at].second == value);
    ++at;
  });
  SHOAL_ASSERT(again && at == found.size());
}

void filters(Bytes list) {
  wire::FilterReader reader(list);
  while (reader.next()) {
    switch (reader.kind()) {
      case wire::FilterReader::Kind::kNodes: (void)reader.names("node"); break;
      case wire::FilterReader::Kind::kTag: (void)serf::tag_matches(reader.tag().expr, "web-1"); break;
      case wire::FilterReader::Kind::kUnknown: SHOAL_ASSERT(!reader.names("node")); break;
    }
  }
}

void written_filters(fuzz::Input& in) {
  const std::string tag = fuzz::copy_of(in.short_bytes());
  const std::string expr = fuzz::copy_of(in.short_bytes());
  std::vector<std::uint8_t> memory(2048);
  ByteWriter out(memory);
  const wire::TagFilter tags[] = {{tag, expr}};
  wire::encode_filters(out, tags, {});
  SHOAL_ASSERT(out.ok());
  wire::FilterReader reader(out.written());
  SHOAL_ASSERT(reader.next() && reader.kind() == wire::FilterReader::Kind::kTag);
  SHOAL_ASSERT(reader.tag().tag == tag && reader.tag().expr == expr);
  SHOAL_ASSERT(!reader.next() && !reader.malformed());

  ByteWriter node(memory);
  const std::string_view nodes[] = {tag};
  wire::encode_filters(node, {}, nodes);
  wire::FilterReader names(node.written());
  SHOAL_ASSERT(names.next() && names.names(tag) && !names.names(tag + "x"));

  const std::string value = fuzz::copy_of(in.rest());
  const bool matches = serf::tag_matches(expr, value);
  bool plain = true;
  for (const char c : expr) plain = plain && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'));
  if (plain) SHOAL_ASSERT(matches == (value.find(expr) != std::string::npos));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tags({data, size});
  filters({data, size});
  fuzz::Input in(data, size);
  written_filters(in);
  return 0;
}
