#include "config/server_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <vector>

#include "config/text.h"

namespace shoal::config {
namespace {

// HAProxy 2.6 cuts a command after 64 words without a word of its own and still says "New server registered."; shoal
// puts up to 9 of its own beside these.
constexpr std::size_t kWordsMax = 48;

enum class Takes : std::uint8_t { kNothing, kTime, kNumber, kOneOf, kWord };

struct Option {
  std::string_view name;
  Takes takes;
  std::int64_t least = 0;
  std::int64_t most = 0;
  std::string_view choices = {};  // "a|b"
};

constexpr std::int64_t kCountMax = 1'000'000;
constexpr std::int64_t kTimeMaxMs = 24 * 3'600'000;

// Keywords that both HAProxy 2.6 and 3.x take on `add server` and that leave shoal's own procedure alone.
constexpr std::array kOptions = {
    Option{"check", Takes::kNothing},
    Option{"inter", Takes::kTime, 1, kTimeMaxMs},
    Option{"fastinter", Takes::kTime, 1, kTimeMaxMs},
    Option{"downinter", Takes::kTime, 1, kTimeMaxMs},
    Option{"rise", Takes::kNumber, 1, 1000},
    Option{"fall", Takes::kNumber, 1, 1000},
    Option{"port", Takes::kNumber, 1, 65535},
    Option{"check-ssl", Takes::kNothing},
    Option{"check-send-proxy", Takes::kNothing},
    Option{"check-proto", Takes::kOneOf, 0, 0, "h1|h2"},
    Option{"check-sni", Takes::kWord},
    Option{"check-alpn", Takes::kWord},
    Option{"observe", Takes::kOneOf, 0, 0, "layer4|layer7"},
    Option{"error-limit", Takes::kNumber, 1, kCountMax},
    Option{"on-error", Takes::kOneOf, 0, 0, "fastinter|fail-check|sudden-death|mark-down"},
    Option{"on-marked-up", Takes::kOneOf, 0, 0, "shutdown-backup-sessions"},
    Option{"slowstart", Takes::kTime, 1, kTimeMaxMs},  // Ramps what HAProxy makes of the weight, not the weight itself.
    Option{"maxconn", Takes::kNumber, 0, kCountMax},
    Option{"minconn", Takes::kNumber, 0, kCountMax},
    Option{"maxqueue", Takes::kNumber, 0, kCountMax},
    Option{"pool-low-conn", Takes::kNumber, 0, kCountMax},
    Option{"pool-max-conn", Takes::kNumber, -1, kCountMax},
    Option{"pool-purge-delay", Takes::kTime, 0, kTimeMaxMs},
    Option{"proto", Takes::kOneOf, 0, 0, "h1|h2|fcgi"},
    Option{"ws", Takes::kOneOf, 0, 0, "auto|h1|h2"},
    Option{"alpn", Takes::kWord},
    Option{"send-proxy", Takes::kNothing},
    Option{"send-proxy-v2", Takes::kNothing},
    Option{"tfo", Takes::kNothing},
    Option{"backup", Takes::kNothing},
    Option{"ssl", Takes::kNothing},
    Option{"sni", Takes::kWord},
    Option{"verify", Takes::kOneOf, 0, 0, "none|required"},
    Option{"verifyhost", Takes::kWord},
    Option{"ca-file", Takes::kWord},
    Option{"crl-file", Takes::kWord},
    Option{"crt", Takes::kWord},
    Option{"ciphers", Takes::kWord},
    Option{"ciphersuites", Takes::kWord},
    Option{"ssl-min-ver", Takes::kOneOf, 0, 0, "TLSv1.0|TLSv1.1|TLSv1.2|TLSv1.3"},
    Option{"ssl-max-ver", Takes::kOneOf, 0, 0, "TLSv1.0|TLSv1.1|TLSv1.2|TLSv1.3"},
};

struct Refused {
  std::string_view name;
  std::string_view why;
};

constexpr std::array kRefused = {
    Refused{"weight", "shoal alone sets weights; use task.weight"},
    Refused{"id", "shoal gives every server its id, so that consistent hashing agrees between proxies"},
    Refused{"on-marked-down", "it would cut requests in flight whenever a server is taken out of rotation"},
    Refused{"enabled", "shoal enables a server when it is ready"},
    Refused{"disabled", "shoal enables a server when it is ready"},
    Refused{"init-state", "set haproxy.verify = \"check\", and shoal does what it does, on every version"},
    Refused{"agent-check", "an agent sets weights and states, which are shoal's own"},
    Refused{
        "cookie",
        "one value for all servers would send every client to one of them, and before 3.0 no server added at run time "
        "takes any; a stick table or `balance hash` with `hash-type consistent` keeps clients too"},
    Refused{"track", "each server is judged by its own health"},
    Refused{"addr", "checks go to the announced address"},
};

/// HAProxy's way: a number, bare for milliseconds, or with us, ms, s, m, h, d.
bool read_time_ms(std::string_view text, std::int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || out < 0 || out > kTimeMaxMs) return false;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.empty() || unit == "ms") return true;
  std::int64_t factor = 0;
  if (unit == "s") factor = 1000;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  out *= factor;
  return factor != 0;
}

/// Nothing that separates commands, quotes, escapes, or begins a payload on the runtime socket.
bool is_plain_word(std::string_view text) {
  constexpr std::string_view kMarks = "._:/@,=+()!*%-";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

std::string check_value(const Option& option, std::string_view value) {
  const std::string where = "option " + quoted(option.name) + ": value " + quoted(value) + " ";
  switch (option.takes) {
    case Takes::kNothing: return {};
    case Takes::kTime: {
      std::int64_t ms = 0;
      if (read_time_ms(value, ms) && ms >= option.least && ms <= option.most) return {};
      return where + "is no time; write it as HAProxy does, such as 200ms or 2s";
    }
    case Takes::kNumber: {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      const bool whole = error == std::errc{} && end == value.data() + value.size();
      if (whole && number >= option.least && number <= option.most) return {};
      return where + "must be a whole number from " + std::to_string(option.least) + " to " +
             std::to_string(option.most);
    }
    case Takes::kOneOf: {
      const auto choices = split(option.choices, '|');
      if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
      return where + "is none of " + std::string(option.choices) + did_you_mean(nearest(value, choices));
    }
    case Takes::kWord: {
      if (is_plain_word(value)) return {};
      return where + "has a character that is not allowed";
    }
  }
  return {};
}

std::string refuse_name(std::string_view name) {
  for (const Refused& refused : kRefused) {
    if (refused.name == name) return "option " + quoted(name) + " is not allowed: " + std::string(refused.why);
  }
  std::vector<std::string_view> names;
  for (const Option& option : kOptions) names.push_back(option.name);
  return "option " + quoted(name) + " is not on the list of allowed server options" +
         did_you_mean(nearest(name, names));
}

}  // namespace

std::string check_server_options(std::string_view text, std::string& clean) {
  clean.clear();
  if (has_control_bytes(text))
    return "has a control character (a line break or a tab?) in it; write the words in one line";
  if (text.find_first_of(";\\\"'") != std::string_view::npos) {
    return "has one of ; \\ \" ' in it, which mean something else to HAProxy's socket";
  }
  std::vector<std::string_view> words;
  for (const std::string_view word : split(text, ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  if (words.size() > kWordsMax) {
    return "has " + std::to_string(words.size()) + " words; HAProxy takes at most " + std::to_string(kWordsMax) +
           " besides shoal's own";
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto* option =
        std::find_if(kOptions.begin(), kOptions.end(), [&](const Option& o) { return o.name == words[i]; });
    if (option == kOptions.end()) return refuse_name(words[i]);
    if (!clean.empty()) clean += ' ';
    clean += option->name;
    if (option->takes == Takes::kNothing) continue;
    if (++i == words.size()) return "option " + quoted(option->name) + " needs a value after it";
    if (std::string wrong = check_value(*option, words[i]); !wrong.empty()) return wrong;
    clean += ' ';
    clean += words[i];
  }
  return {};
}

}  // namespace shoal::config
