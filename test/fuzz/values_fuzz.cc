// Single values from the operator: addresses, ranges, durations, seeds, tags, options, placeholders, names. What is
// taken is inside its limits, and what can be printed reads back as the same.
#include <climits>
#include <string>

#include "base/check.h"
#include "base/endpoint.h"
#include "config/placeholders.h"
#include "config/server_options.h"
#include "config/text.h"
#include "config/values.h"
#include "haproxy/server_options.h"
#include "input.h"
#include "target.h"

namespace {

using namespace shoal;
using namespace shoal::config;

void addresses(const std::string& text) {
  if (const auto address = IpAddress::parse(text)) {
    const auto again = IpAddress::parse(to_text(*address).view());
    SHOAL_ASSERT(again && same_host(*again, *address));
  }
  if (const auto endpoint = Endpoint::parse(text)) {
    const auto again = Endpoint::parse(to_text(*endpoint).view());
    SHOAL_ASSERT(again && same_place(*again, *endpoint));
  }
  if (const auto range = Cidr::parse(text)) {
    SHOAL_ASSERT(range->bits <= 8 * range->addr.raw().size() && range->contains(range->addr));
  }
}

void words(const std::string& text) {
  if (const auto duration = parse_duration(text)) {
    SHOAL_ASSERT(*duration >= Duration{});
    SHOAL_ASSERT(parse_duration(duration_text(*duration)) == *duration);
  }
  std::int64_t number = 0;
  if (read_integer(text, -5, 70'000, number).empty()) SHOAL_ASSERT(number >= -5 && number <= 70'000);
  (void)read_integer(text, INT64_MIN, INT64_MAX, number);
  Seed seed;
  if (read_seed(text, seed).empty()) {
    SHOAL_ASSERT(seed.kind == Seed::Kind::kAddress ? seed.address.port != 0 : !seed.host.empty());
  }
  Bind bind;
  (void)read_bind(text, bind);
  Advertise advertise;
  (void)read_advertise(text, advertise);
  Cidr range;
  (void)read_cidr(text, range);
  Endpoint listen;
  if (read_listen(text, listen).empty()) SHOAL_ASSERT(!listen.addr.empty());
  Tag tag;
  if (read_tag(text, tag).empty()) SHOAL_ASSERT(!tag.name.empty());
  int signal = 0;
  if (read_signal(text, signal).empty()) SHOAL_ASSERT(signal > 0 && signal < 65);
}

void names(const std::string& text) {
  if (check_node_name(text).empty()) SHOAL_ASSERT(!text.empty() && text.size() <= 255 && !has_control_bytes(text));
  if (check_pool_name(text).empty()) SHOAL_ASSERT(!text.empty() && text.size() <= 64);
  if (check_server_prefix(text).empty()) SHOAL_ASSERT(!text.empty());
  if (check_socket_path(text).empty()) SHOAL_ASSERT(text.size() <= 107);
  if (unknown_placeholder(text).empty()) (void)fill_placeholders(text, {"10.0.0.1", 8080, 3});
  // Options that the settings let pass must never be refused where the command is made.
  std::string clean;
  if (check_server_options(text, clean).empty()) {
    const auto options = haproxy::ServerOptions::parse(clean);
    SHOAL_ASSERT(options.ok() && options.value().text() == clean);
  }
  (void)haproxy::ServerOptions::parse(text);
}

void json(const std::string& text) {
  std::vector<std::string> strings;
  if (parse_json_strings(text, strings)) {
    std::string printed = "[";
    for (const std::string& one : strings) printed += (printed.size() > 1 ? ", " : "") + quoted(one);
    std::vector<std::string> again;
    SHOAL_ASSERT(parse_json_strings(printed + "]", again));
    SHOAL_ASSERT(again.size() == strings.size());
  }
  (void)nearest(text, {"gossip.join", "gossip.bind", "node.name"});
  SHOAL_ASSERT(edit_distance(text, text) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::copy_of({data, size});
  addresses(text);
  words(text);
  names(text);
  if (size <= 512) json(text);
  return 0;
}
