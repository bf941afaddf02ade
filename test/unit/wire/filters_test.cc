#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "golden.h"
#include "support/hex.h"
#include "wire/messages.h"
#include "wire/msgpack.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;
using Kind = FilterReader::Kind;

// A filter list of these blobs.
std::vector<std::uint8_t> list_of(std::initializer_list<std::string_view> blobs) {
  std::vector<std::uint8_t> memory(1024);
  ByteWriter out(memory);
  msgpack::put_array(out, static_cast<std::uint32_t>(blobs.size()));
  for (const std::string_view hex : blobs) {
    msgpack::put_text(out, as_text(from_hex(hex)));
  }
  memory.resize(out.size());
  return memory;
}

TEST_CASE("a filter is written as Go writes it") {
  std::vector<std::uint8_t> memory(300);
  ByteWriter tag(memory);
  const TagFilter role[] = {{.tag = "role", .expr = "task"}};
  encode_filters(tag, role, {});
  CHECK(to_hex(tag.written()) == "91b5" + std::string(golden("G34b")));
  ByteWriter node(memory);
  const std::string_view n1[] = {"n1"};
  encode_filters(node, {}, n1);
  CHECK(to_hex(node.written()) == "91a50091a26e31");
  ByteWriter none(memory);
  encode_filters(none, {}, {});
  CHECK(none.size() == 0);
}

TEST_CASE("several filters are read as they were written: tags in order, then the nodes as one") {
  const TagFilter tags[] = {{.tag = "role", .expr = "task"}, {.tag = "zone", .expr = "^a"}};
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("node-" + std::to_string(i));
  const std::vector<std::string_view> nodes(names.begin(), names.end());
  std::vector<std::uint8_t> memory(1024);
  ByteWriter out(memory);
  encode_filters(out, tags, nodes);
  REQUIRE(out.ok());
  FilterReader filters(out.written());
  for (const TagFilter& tag : tags) {
    REQUIRE(filters.next());
    CHECK(filters.tag().tag == tag.tag);
    CHECK(filters.tag().expr == tag.expr);
  }
  REQUIRE(filters.next());
  CHECK(filters.names("node-0"));
  CHECK(filters.names("node-39"));
  CHECK_FALSE(filters.names("node-40"));
  CHECK_FALSE(filters.next());
  CHECK_FALSE(filters.malformed());
}

TEST_CASE("a filter for a name of any length is found again by that name alone") {
  for (const std::size_t size : {1U, 27U, 28U, 29U, 31U, 32U, 137U, 255U, 256U, 70'000U}) {
    CAPTURE(size);
    const std::string name(size, 'n');
    std::vector<std::uint8_t> memory(size + 20);
    ByteWriter out(memory);
    const std::string_view nodes[] = {name};
    encode_filters(out, {}, nodes);
    REQUIRE(out.ok());
    FilterReader filters(out.written());
    REQUIRE(filters.next());
    CHECK(filters.names(name));
    CHECK_FALSE(filters.names(name.substr(1)));
    CHECK_FALSE(filters.next());
    CHECK_FALSE(filters.malformed());

    ByteWriter tag(memory);
    const TagFilter named[] = {{.tag = "t", .expr = name}};
    encode_filters(tag, named, {});
    if (!tag.ok()) continue;
    FilterReader tags(tag.written());
    REQUIRE(tags.next());
    CHECK(tags.kind() == Kind::kTag);
    CHECK(tags.tag().expr == name);
  }
}

TEST_CASE("filters are walked in order, whatever they are") {
  const auto list = list_of({golden("G34a"), golden("G34b"), "", "02c0", "00", "01", "0001", "019101", "00c0"});
  FilterReader filters(list);
  REQUIRE(filters.next());
  CHECK(filters.kind() == Kind::kNodes);
  CHECK(filters.names("a"));
  CHECK(filters.names("b"));
  CHECK_FALSE(filters.names("c"));
  REQUIRE(filters.next());
  CHECK(filters.kind() == Kind::kTag);
  CHECK(filters.tag().tag == "role");
  CHECK(filters.tag().expr == "task");
  CHECK_FALSE(filters.names("a"));
  for (int unknown = 0; unknown < 6; ++unknown) {
    CAPTURE(unknown);
    REQUIRE(filters.next());
    CHECK(filters.kind() == Kind::kUnknown);
    CHECK_FALSE(filters.names(""));
  }
  REQUIRE(filters.next());  // A nil list names nobody.
  CHECK(filters.kind() == Kind::kNodes);
  CHECK_FALSE(filters.names(""));
  CHECK_FALSE(filters.next());
  CHECK_FALSE(filters.malformed());
}

TEST_CASE("a malformed list ends the walk and says so") {
  for (const char* hex : {"01", "91", "92a0", "91a2", "dd00ffffffa0"}) {
    CAPTURE(hex);
    const auto list = from_hex(hex);
    FilterReader filters(list);
    while (filters.next()) {
    }
    CHECK(filters.malformed());
  }
  FilterReader none(Bytes{});
  CHECK_FALSE(none.next());
  CHECK_FALSE(none.malformed());
}

}  // namespace
}  // namespace shoal::wire
