#include <doctest/doctest.h>

#include <string>

#include "golden.h"
#include "recode.h"
#include "support/hex.h"
#include "wire/messages.h"

namespace shoal::wire {
namespace {

using test::from_hex;
using test::to_hex;

template <typename Message>
std::string encoded(const Message& message) {
  std::vector<std::uint8_t> memory(4096);
  ByteWriter out(memory);
  encode(out, message);
  return out.ok() ? to_hex(out.written()) : "does not fit";
}

const std::vector<std::uint8_t> kLocal = from_hex("7f000001");

TEST_CASE("every serf message is written as Go writes it") {
  CHECK(encoded(LeaveIntent{5, "n1", true}) == golden("G35a"));
  CHECK(encoded(JoinIntent{300, "n1"}) == golden("G35b"));
  CHECK(encoded(UserEvent{9, "deploy", as_bytes("v1"), true}) == golden("G35c"));

  std::vector<std::uint8_t> memory(256);
  ByteWriter filters(memory);
  const TagFilter tasks[] = {{.tag = "role", .expr = "task"}};
  encode_filters(filters, tasks, {});
  const Query query{.ltime = 4,
                    .id = 0x7fffffff,
                    .addr = kLocal,
                    .port = 7946,
                    .source_node = "n1",
                    .filters = filters.written(),
                    .flags = kQueryFlagAck,
                    .relay_factor = 2,
                    .timeout_ns = 3'200'000'000,
                    .name = "solicit"};
  CHECK(encoded(query) == golden("G14a"));

  CHECK(encoded(QueryResponse{.ltime = 4, .id = 1, .from = "n2", .payload = as_bytes("ok")}) == golden("G15"));
  CHECK(encoded(QueryResponse{.ltime = 4, .id = 1, .from = "n2", .flags = kResponseFlagAck}) == golden("G16"));
  const std::vector<std::uint8_t> inner = from_hex(golden("G15"));
  CHECK(encoded(Relay{.dest_ip = kLocal, .dest_port = 7946, .dest_name = "n1", .message = inner}) == golden("G18a"));
}

TEST_CASE("every serf message is read in all its fields, from both codecs") {
  for (const char* id : {"G14a", "G14b"}) {
    const auto m = from_hex(golden(id));
    Query query;
    REQUIRE(decode(Bytes(m).subspan(1), query));
    CHECK(query.ltime == 4);
    CHECK(query.id == 0x7fffffff);
    CHECK(to_hex(query.addr) == "7f000001");
    CHECK(query.port == 7946);
    CHECK(query.source_node == "n1");
    CHECK(query.flags == 1);
    CHECK(query.relay_factor == 2);
    CHECK(query.timeout_ns == 3'200'000'000);
    CHECK(query.name == "solicit");
    CHECK(query.payload.empty());
    FilterReader filters(query.filters);
    REQUIRE(filters.next());
    CHECK(filters.kind() == FilterReader::Kind::kTag);
    CHECK(filters.tag().tag == "role");
    CHECK(filters.tag().expr == "task");
    CHECK_FALSE(filters.next());
  }
  for (const char* id : {"G18a", "G18b"}) {
    const auto m = from_hex(golden(id));
    Relay relay;
    REQUIRE(decode(Bytes(m).subspan(1), relay));
    CHECK(to_hex(relay.dest_ip) == "7f000001");
    CHECK(relay.dest_port == 7946);
    CHECK(relay.dest_name == "n1");
    CHECK(to_hex(relay.message) == golden("G15"));
  }
  const auto leave = from_hex(golden("G35a"));
  LeaveIntent intent;
  REQUIRE(decode(Bytes(leave).subspan(1), intent));
  CHECK(intent.ltime == 5);
  CHECK(intent.node == "n1");
  CHECK(intent.prune);
  const auto event_bytes = from_hex(golden("G35c"));
  UserEvent event;
  REQUIRE(decode(Bytes(event_bytes).subspan(1), event));
  CHECK(event.ltime == 9);
  CHECK(event.name == "deploy");
  CHECK(as_text(event.payload) == "v1");
  CHECK(event.cc);
  const auto response_bytes = from_hex(golden("G15"));
  QueryResponse response;
  REQUIRE(decode(Bytes(response_bytes).subspan(1), response));
  CHECK(response.ltime == 4);
  CHECK(response.id == 1);
  CHECK(response.from == "n2");
  CHECK(response.flags == 0);
  CHECK(as_text(response.payload) == "ok");
}

TEST_CASE("a query whose filter list is no list of blobs is refused") {
  Query query;
  CHECK(decode(from_hex("81a746696c74657273c0"), query));          // nil
  CHECK(decode(from_hex("81a746696c7465727390"), query));          // []
  CHECK(decode(from_hex("81a746696c7465727392a0c0"), query));      // ["", nil]
  CHECK_FALSE(decode(from_hex("81a746696c7465727301"), query));    // 1
  CHECK_FALSE(decode(from_hex("81a746696c746572739101"), query));  // [1]
  CHECK_FALSE(decode(from_hex("81a746696c7465727392a0"), query));  // cut short
}

}  // namespace
}  // namespace shoal::wire
