#include "config/values.h"

#include <csignal>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "base/base64.h"
#include "config/text.h"

namespace shoal::config {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::size_t kNameBytesMax = 255;        // memberlist carries longer names; DNS and people do not.
constexpr std::size_t kPoolNameBytesMax = 64;     // As the announce messages.
constexpr std::size_t kPrefixBytesMax = 32;       // Leaves room for the rest of a server's name in 64.
constexpr std::size_t kSocketPathBytesMax = 107;  // sun_path less its end.
constexpr std::size_t kTagBytesMax = 255;
constexpr std::size_t kLabelBytesMax = 255;  // One byte of the packet holds its length.
constexpr std::size_t kHttpPathBytesMax = 1024;
constexpr Duration kDelayMax = 1h;
constexpr std::size_t kFilePathBytesMax = 4000;  // The kernel's 4,096 less the name of a file in it.

template <typename Int>
bool parse_whole(std::string_view text, Int& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == ':' || c == '-';
}

/// What stands after "http:". It goes into a request's first line as it is, so it is one word.
std::string check_http_path(std::string_view path) {
  if (path.substr(0, 2) == "//") return "names a host; the worker's own port is asked: write http:/path";
  if (path.empty() || path[0] != '/') return "has no path that begins with a slash; write it as http:/healthz";
  if (path.size() > kHttpPathBytesMax) return "has a path of more than 1024 bytes";
  for (const char c : path) {
    if (c <= ' ' || c > '~' || c == '#')
      return "has a path with a byte that a URL cannot have; write it as %20 and the like";
  }
  return {};
}

/// A host name that a resolver could be asked for. Underscores are allowed: SRV names and container names have them.
bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  if (text.back() == '.') text.remove_suffix(1);
  for (const std::string_view label : split(text, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    for (const char c : label) {
      if (!is_name_byte(c) || c == ':' || c == '.') return false;
    }
  }
  return true;
}

bool looks_like_broken_v4(std::string_view text) {
  return text.find_first_not_of("0123456789.") == std::string_view::npos;
}

struct HostAndPort {
  std::string_view host;  // Without brackets.
  std::optional<std::uint16_t> port;
};

/// "host", "host:port", "[v6]", "[v6]:port", or a bare v6 address. Nothing when it is none of these.
std::optional<HostAndPort> split_host(std::string_view text) {
  HostAndPort out;
  std::string_view port;
  if (!text.empty() && text.front() == '[') {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    out.host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    if (rest.empty()) return out;
    if (rest.front() != ':') return std::nullopt;
    port = rest.substr(1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    out.host = text.substr(0, text.find(':'));
    port = text.substr(text.find(':') + 1);
  } else {
    out.host = text;
    return out;
  }
  std::uint16_t number = 0;
  if (!parse_whole(port, number)) return std::nullopt;
  out.port = number;
  return out;
}

std::string check_alphabet(std::string_view text, std::size_t bytes_max, std::string_view what) {
  const bool good = !text.empty() && text.size() <= bytes_max && std::all_of(text.begin(), text.end(), is_name_byte);
  if (good) return {};
  return std::string(what) + " has 1 to " + std::to_string(bytes_max) + " characters out of A-Z a-z 0-9 . _ : -";
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::int64_t ns;
  };
  constexpr std::array<Unit, 4> kUnits = {{{"h", 3'600'000 * kMillisecond},
                                           {"m", 60'000 * kMillisecond},
                                           {"s", 1'000 * kMillisecond},
                                           {"ms", kMillisecond}}};
  constexpr std::int64_t kMost = 100LL * 366 * 24 * 3'600'000 * kMillisecond / 4;  // 25 years: far from overflow.
  std::int64_t total = 0;
  std::size_t next_unit = 0;  // Units may only grow smaller, so that "1m5h" and "5s5s" are slips, not sums.
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::size_t digits = text.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
    std::int64_t number = 0;
    if (!parse_whole(text.substr(0, digits), number)) return std::nullopt;
    text.remove_prefix(digits);
    const std::string_view name = text.substr(0, text.find_first_of("0123456789"));
    while (next_unit < kUnits.size() && kUnits[next_unit].name != name) ++next_unit;
    if (next_unit == kUnits.size() || number > kMost / kUnits[next_unit].ns) return std::nullopt;
    total += number * kUnits[next_unit].ns;
    text.remove_prefix(name.size());
    ++next_unit;
  }
  if (total > kMost) return std::nullopt;
  return Duration(total);
}

std::string duration_text(Duration duration) {
  std::int64_t ms = to_ms(duration);
  if (ms <= 0) return "0s";
  std::string out;
  const auto part = [&](std::int64_t unit_ms, std::string_view name) {
    if (ms >= unit_ms) out += std::to_string(ms / unit_ms) + std::string(name);
    ms %= unit_ms;
  };
  part(3'600'000, "h");
  part(60'000, "m");
  part(1'000, "s");
  part(1, "ms");
  return out;
}

std::string read_integer(std::string_view text, std::int64_t least, std::int64_t most, std::int64_t& out) {
  if (parse_whole(text, out) && out >= least && out <= most) return {};
  return "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most);
}

std::string read_seed(std::string_view text, Seed& out) {
  constexpr std::string_view kForms = "write HOST, HOST:PORT, [IPV6]:PORT or srv:NAME";
  out = {};
  out.text = text;
  if (text.find(',') != std::string_view::npos) {
    return "is several seeds in one word; write a list in the file, or repeat the flag";
  }
  if (text.substr(0, 4) == "srv:") {
    out.kind = Seed::Kind::kSrv;
    out.host = text.substr(4);
    return is_host_name(out.host) ? std::string() : "is no DNS name after srv:, such as srv:shoal.example.internal";
  }
  const auto parts = split_host(text);
  if (!parts || parts->host.empty()) return "is no seed; " + std::string(kForms);
  if (parts->port == std::uint16_t{0}) return "has port 0, which nobody can listen on; " + std::string(kForms);
  out.port = parts->port.value_or(kGossipPort);
  if (const auto addr = IpAddress::parse(parts->host)) {
    if (addr->is_unspecified() || addr->is_multicast())
      return "is no address of one host; name a member of the cluster";
    out.kind = Seed::Kind::kAddress;
    out.address = Endpoint{*addr, out.port};
    return {};
  }
  if (!is_host_name(parts->host) || looks_like_broken_v4(parts->host)) return "is no seed; " + std::string(kForms);
  out.kind = Seed::Kind::kHost;
  out.host = parts->host;
  return {};
}

std::string read_bind(std::string_view text, Bind& out) {
  const auto parts = split_host(text);
  const auto addr = parts ? IpAddress::parse(parts->host) : std::nullopt;
  if (!addr) return "is no literal address; write ADDRESS, ADDRESS:PORT or [IPV6]:PORT, such as 0.0.0.0:7946";
  if (addr->is_multicast()) return "is a multicast address; bind an address of this host, or 0.0.0.0";
  out = Bind{*addr, parts->port};
  return {};
}

std::string read_advertise(std::string_view text, Advertise& out) {
  out = {};
  if (text == "auto") return {};
  if (const std::size_t slash = text.find('/'); slash != std::string_view::npos) {
    out.kind = Advertise::Kind::kNetwork;
    return read_cidr(text, out.network);
  }
  const auto parts = split_host(text);
  if (parts) {
    if (const auto addr = IpAddress::parse(parts->host)) {
      if (addr->is_unspecified() || addr->is_multicast())
        return "is no address that others can reach; name one, or auto";
      if (parts->port == std::uint16_t{0}) return "has port 0; leave the port out, or name the one others reach";
      out.kind = Advertise::Kind::kAddress;
      out.addr = *addr;
      out.port = parts->port;
      return {};
    }
  }
  // The kernel's rule for an interface name: 1 to 15 bytes, no slash, no space.
  const bool is_interface = !text.empty() && text.size() <= 15 && !has_control_bytes(text) &&
                            text.find(' ') == std::string_view::npos && !looks_like_broken_v4(text);
  if (!is_interface) return "is none of auto, an address, an interface name (eth0), a network (10.0.0.0/8)";
  out.kind = Advertise::Kind::kInterface;
  out.interface_name = text;
  return {};
}

std::string read_cidr(std::string_view text, Cidr& out) {
  const auto cidr = Cidr::parse(text);
  if (!cidr) return "is no address range; write it as 10.0.0.0/8 or fd00::/8";
  out = *cidr;
  return {};
}

std::string read_listen(std::string_view text, Endpoint& out) {
  const auto endpoint = Endpoint::parse(text);
  if (!endpoint) return "is no literal address with a port; write 0.0.0.0:8080, [::]:8080, or port 0 for any free port";
  if (endpoint->addr.is_multicast()) return "is a multicast address; listen on an address of this host, or 0.0.0.0";
  out = *endpoint;
  return {};
}

std::string read_tag(std::string_view text, Tag& out) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return "is no tag; write name=value";
  out = Tag{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
  if (out.name == "role" || out.name == "state" || out.name == "shoal" || out.name == "wish")
    return "sets the tag \"" + out.name + "\", which is shoal's own";
  if (has_control_bytes(text)) return "has a control character in it";
  if (out.name.size() > kTagBytesMax || out.value.size() > kTagBytesMax) return "is longer than 255 bytes on one side";
  return {};
}

std::string read_ready(std::string_view text, Worker& out) {
  constexpr std::string_view kHttp = "http:";
  constexpr std::string_view kDelay = "delay:";
  if (text == "auto") {
    out.ready = Ready::kAuto;
  } else if (text == "notify") {
    out.ready = Ready::kNotify;
  } else if (text == "tcp") {
    out.ready = Ready::kTcp;
  } else if (text.substr(0, kHttp.size()) == kHttp) {
    if (std::string wrong = check_http_path(text.substr(kHttp.size())); !wrong.empty()) return wrong;
    out.ready = Ready::kHttp;
    out.ready_path = text.substr(kHttp.size());
  } else if (text.substr(0, kDelay.size()) == kDelay) {
    const auto delay = parse_duration(text.substr(kDelay.size()));
    if (!delay || *delay > kDelayMax) return "has no delay up to 1h after the colon; write it as delay:1s";
    out.ready = Ready::kDelay;
    out.ready_delay = *delay;
  } else {
    return "is none of auto, notify, http:/path, tcp, delay:1s" +
           did_you_mean(nearest(text, {"auto", "notify", "tcp", "http:/", "delay:1s"}));
  }
  return {};
}

std::string read_health(std::string_view text, Worker& out) {
  constexpr std::string_view kHttp = "http:";
  if (text == "off") {
    out.health = WorkerHealth::kOff;
  } else if (text == "tcp") {
    out.health = WorkerHealth::kTcp;
  } else if (text == "queue") {
    out.health = WorkerHealth::kQueue;
  } else if (text.substr(0, kHttp.size()) == kHttp) {
    if (std::string wrong = check_http_path(text.substr(kHttp.size())); !wrong.empty()) return wrong;
    out.health = WorkerHealth::kHttp;
    out.health_path = text.substr(kHttp.size());
  } else {
    return "is none of off, http:/path, tcp, queue" + did_you_mean(nearest(text, {"off", "tcp", "queue", "http:/"}));
  }
  return {};
}

std::string read_signal(std::string_view text, int& out) {
  struct Named {
    std::string_view name;
    int number;
  };
  constexpr std::array<Named, 7> kSignals = {{{"TERM", SIGTERM},
                                              {"INT", SIGINT},
                                              {"QUIT", SIGQUIT},
                                              {"HUP", SIGHUP},
                                              {"USR1", SIGUSR1},
                                              {"USR2", SIGUSR2},
                                              {"WINCH", SIGWINCH}}};
  const std::string_view bare = text.substr(0, 3) == "SIG" ? text.substr(3) : text;
  for (const Named& signal : kSignals) {
    if (signal.name == bare) {
      out = signal.number;
      return {};
    }
  }
  if (bare == "KILL") return "cannot be caught; SIGKILL comes by itself when the stop's budget ends";
  return "is none of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH";
}

std::string read_key(std::string_view text, std::vector<std::uint8_t>& out) {
  // As much as a key and a bit, so that a longer text is told its size rather than that it is no base64.
  std::array<std::uint8_t, 1024> bytes{};
  const auto size = base64_decode(text, bytes);
  if (!size) return "is no base64; write one line as `shoal keygen` prints it";
  if (*size != 16 && *size != 24 && *size != 32) {
    return "is base64 of " + std::to_string(*size) +
           " bytes; an AES key has 16, 24 or 32, make one with `shoal keygen`";
  }
  out.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*size));
  return {};
}

std::string read_snapshot_dir(std::string_view text, std::string& out) {
  out.clear();
  if (text.empty() || text == "off") return {};
  out = text;
  return check_file_path(text);
}

std::string read_rpc_bind(std::string_view text, std::optional<Endpoint>& out) {
  out.reset();
  if (text == "off") return {};
  const auto parts = split_host(text);
  const auto addr = parts ? IpAddress::parse(parts->host) : std::nullopt;
  if (!addr || addr->is_multicast()) {
    return "is no literal address of this host; write ADDRESS:PORT, such as 127.0.0.1:7373, or off";
  }
  out = Endpoint{*addr, parts->port.value_or(kRpcPort)};
  return {};
}

std::string check_auth_key(std::string_view text) {
  const bool fits = !text.empty() && text.size() <= 255 && !has_control_bytes(text);
  return fits ? std::string() : "must be 1 to 255 bytes without control characters";
}

std::string read_control_socket(std::string_view text, Control& out) {
  out = {};
  if (text == "off") {
    out.kind = Control::Kind::kOff;
    return {};
  }
  out.kind = Control::Kind::kSocket;
  out.socket = text;
  if (!text.empty() && text[0] == '@') {
    // An abstract name has no NUL at its end, but the byte in front of it.
    if (text.size() < 2 || text.size() > kSocketPathBytesMax + 1)
      return "is no abstract name; write @ and 1 to 107 bytes after it";
    return has_control_bytes(text) ? "has a control character in it" : std::string();
  }
  if (text.find('/') == std::string_view::npos)
    return "is no path of a UNIX socket, such as /run/shoal/web.sock; for an abstract name write @name, for none off";
  return check_socket_path(text);
}

std::string check_file_path(std::string_view text) {
  if (text.empty()) return "is empty; write a path, or leave the setting out";
  if (text.size() > kFilePathBytesMax) {
    return "has " + std::to_string(text.size()) + " bytes; a path has at most " + std::to_string(kFilePathBytesMax);
  }
  if (has_control_bytes(text)) return "has a control character in it";
  return {};
}

std::string check_label(std::string_view text) {
  if (text.size() > kLabelBytesMax) {
    return "has " + std::to_string(text.size()) + " bytes; a label has at most " + std::to_string(kLabelBytesMax);
  }
  if (has_control_bytes(text)) return "has a control character in it";
  return {};
}

std::string check_node_name(std::string_view text) {
  if (text.empty()) return "is empty; leave the setting out for a name made from the host name";
  if (text.size() > kNameBytesMax) {
    return "has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kNameBytesMax) + " are allowed";
  }
  if (has_control_bytes(text)) return "has a control character in it";
  return {};
}

std::string check_pool_name(std::string_view text) {
  return check_alphabet(text, kPoolNameBytesMax, "is no pool name: one");
}

std::string check_server_prefix(std::string_view text) {
  // An empty prefix would make every server of HAProxy shoal's own.
  return check_alphabet(text, kPrefixBytesMax, "is no server prefix: one");
}

std::string check_socket_path(std::string_view text) {
  if (text.find('/') == std::string_view::npos)
    return "is no path of a UNIX socket, such as /var/run/haproxy/admin.sock";
  if (text.size() > kSocketPathBytesMax) {
    return "has " + std::to_string(text.size()) + " bytes; the path of a UNIX socket has at most 107";
  }
  if (has_control_bytes(text)) return "has a control character in it";
  return {};
}

std::string read_runtime_socket(std::string_view text, RuntimeSocket& out) {
  constexpr std::string_view kForms = "write PATH, ipv4@ADDRESS:PORT, ipv6@[ADDRESS]:PORT, abns@NAME or master@PATH";
  out = RuntimeSocket{};
  out.text = text;
  const std::size_t at = text.find('@');
  const std::string_view form = text.substr(0, at == std::string_view::npos || text.find('/') < at ? 0 : at);
  const std::string_view rest = form.empty() ? text : text.substr(form.size() + 1);
  if (form.empty() || form == "master") {
    out.is_master = form == "master";
    out.name = rest;
    if (rest.empty() || rest.find('/') == std::string_view::npos) {
      return "is no path of a UNIX socket, such as /var/run/haproxy/admin.sock; " + std::string(kForms);
    }
    return check_socket_path(rest);
  }
  if (form == "abns") {
    out.kind = RuntimeSocket::Kind::kAbstract;
    out.name = "@" + std::string(rest);
    if (rest.empty() || rest.size() > kSocketPathBytesMax) return "names no abstract socket of 1 to 107 bytes";
    return has_control_bytes(rest) ? "has a control character in it" : std::string();
  }
  if (form == "ipv4" || form == "ipv6") {
    out.kind = RuntimeSocket::Kind::kTcp;
    const auto place = Endpoint::parse(rest);
    const bool fits =
        place && place->port != 0 && !place->addr.is_unspecified() && place->addr.is_v4() == (form == "ipv4");
    if (!fits) {
      return form == "ipv4" ? "is no numeric IPv4 address with a port, such as ipv4@127.0.0.1:9999"
                            : "is no numeric IPv6 address with a port, such as ipv6@[::1]:9999";
    }
    out.place = *place;
    return {};
  }
  return "begins with " + quoted(std::string(form) + "@") + ", which shoal does not know; " + std::string(kForms);
}

}  // namespace shoal::config
