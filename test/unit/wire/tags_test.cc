#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "golden.h"
#include "support/hex.h"
#include "wire/messages.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;

std::string described(Bytes meta) {
  std::string out;
  const bool whole = for_each_tag(meta, [&](std::string_view key, std::string_view value) {
    out.append(key).append("=").append(value).append(";");
  });
  return whole ? out : "malformed";
}

TEST_CASE("tags are written as Go writes them and read back") {
  std::vector<std::uint8_t> memory(kMetaBytesMax);
  ByteWriter out(memory);
  encode_tags_header(out, 1);
  encode_tag(out, "role", "task");
  CHECK(to_hex(out.written()) == golden("G30"));
  CHECK(described(out.written()) == "role=task;");
  ByteWriter none(memory);
  encode_tags_header(none, 0);
  CHECK(to_hex(none.written()) == golden("G31"));
  CHECK(described(none.written()).empty());
}

TEST_CASE("Meta without the mark is the role") {
  CHECK(described(as_bytes("web")) == "role=web;");
  CHECK(described({}) == "role=;");
  CHECK(tag_value(as_bytes("web"), "role") == "web");
  CHECK(tag_value(as_bytes("web"), "state").empty());
}

TEST_CASE("a tag is found by its name; the last of two counts") {
  const auto meta = from_hex("ff83a161a131a162a132a161a133");
  CHECK(tag_value(meta, "a") == "3");
  CHECK(tag_value(meta, "b") == "2");
  CHECK(tag_value(meta, "c").empty());
}

TEST_CASE("Meta that is cut short or no map of text is malformed and has no values") {
  const auto meta = from_hex("ff82a161a131a162a132");
  for (std::size_t size = 1; size < meta.size(); ++size) {
    CHECK(described(Bytes(meta).first(size)) == "malformed");
    CHECK(tag_value(Bytes(meta).first(size), "a").empty());
  }
  for (const char* hex : {"ff01", "ff91a161", "ff8101a161", "ff81a16101", "ffdf7fffffff"}) {
    CAPTURE(hex);
    CHECK(described(from_hex(hex)) == "malformed");
  }
  CHECK(described(from_hex("ff80ffff")).empty());  // What stands behind the map is ignored.
  CHECK(described(from_hex("ffc0")).empty());
}

}  // namespace
}  // namespace shoal::wire
