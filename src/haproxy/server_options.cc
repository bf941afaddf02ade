#include "haproxy/server_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace shoal::haproxy {
namespace {

enum class ValueKind : std::uint8_t { kFlag, kDuration, kNumber, kWord, kText };

struct Keyword {
  std::string_view name;
  ValueKind kind;
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::string_view words{};  // For kWord: the allowed ones, separated by '|'.
};

constexpr std::int64_t kIntMax = 0x7fffffff;

// Keywords that `add server` of 2.6 and later takes and that do not work against shoal.
constexpr std::array kKeywords = {
    Keyword{"alpn", ValueKind::kText},
    Keyword{"backup", ValueKind::kFlag},
    Keyword{"ca-file", ValueKind::kText},
    Keyword{"check", ValueKind::kFlag},
    Keyword{"check-send-proxy", ValueKind::kFlag},
    Keyword{"check-ssl", ValueKind::kFlag},
    Keyword{"crt", ValueKind::kText},
    Keyword{"downinter", ValueKind::kDuration},
    Keyword{"error-limit", ValueKind::kNumber, 1, kIntMax},
    Keyword{"fall", ValueKind::kNumber, 1, 1000},
    Keyword{"fastinter", ValueKind::kDuration},
    Keyword{"inter", ValueKind::kDuration},
    Keyword{"maxconn", ValueKind::kNumber, 0, kIntMax},
    Keyword{"maxqueue", ValueKind::kNumber, 0, kIntMax},
    Keyword{"minconn", ValueKind::kNumber, 0, kIntMax},
    Keyword{"observe", ValueKind::kWord, 0, 0, "layer4|layer7"},
    Keyword{"on-error", ValueKind::kWord, 0, 0, "fastinter|fail-check|sudden-death|mark-down"},
    Keyword{"pool-low-conn", ValueKind::kNumber, 0, kIntMax},
    Keyword{"pool-max-conn", ValueKind::kNumber, -1, kIntMax},
    Keyword{"pool-purge-delay", ValueKind::kDuration},
    Keyword{"port", ValueKind::kNumber, 1, 65535},
    Keyword{"proto", ValueKind::kWord, 0, 0, "h1|h2"},
    Keyword{"rise", ValueKind::kNumber, 1, 1000},
    Keyword{"send-proxy", ValueKind::kFlag},
    Keyword{"send-proxy-v2", ValueKind::kFlag},
    Keyword{"slowstart", ValueKind::kDuration},
    Keyword{"sni", ValueKind::kText},
    Keyword{"ssl", ValueKind::kFlag},
    Keyword{"verify", ValueKind::kWord, 0, 0, "none|required"},
    Keyword{"verifyhost", ValueKind::kText},
};

constexpr std::size_t kWordsMax =
    56;  // 2.6 silently cuts a line at 64 words; "add server NAME ADDR weight 0 id N" has 8.

struct Forbidden {
  std::string_view name;
  std::string_view why;
};
constexpr std::array kForbidden = {
    Forbidden{"weight", "shoal alone sets weights; a task's is task.weight"},
    Forbidden{"id", "shoal derives ids, so that consistent hashing agrees between proxies"},
    Forbidden{"on-marked-down", "its shutdown-sessions cuts requests that are being drained"},
    Forbidden{"disabled", "shoal enables and disables servers itself"},
    Forbidden{"enabled", "shoal enables and disables servers itself"},
    Forbidden{"init-state", "shoal decides when a server may take requests"},
};

bool is_text_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_.:-/@,()=*").find(c) != std::string_view::npos;
}

bool is_number(std::string_view text, std::int64_t min, std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size() && value >= min && value <= max;
}

bool is_duration(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  const std::string_view unit = text.substr(digits);
  const bool has_unit = unit.empty() || unit == "ms" || unit == "s" || unit == "m" || unit == "h";
  return has_unit && is_number(text.substr(0, digits), 0, kIntMax / 1000);
}

bool is_one_of(std::string_view text, std::string_view words) {
  while (!words.empty()) {
    const std::size_t end = words.find('|');
    if (!text.empty() && text == words.substr(0, end)) return true;
    words.remove_prefix(end == std::string_view::npos ? words.size() : end + 1);
  }
  return false;
}

bool is_value(const Keyword& keyword, std::string_view value) {
  switch (keyword.kind) {
    case ValueKind::kFlag: return true;
    case ValueKind::kDuration: return is_duration(value);
    case ValueKind::kNumber: return is_number(value, keyword.min, keyword.max);
    case ValueKind::kWord: return is_one_of(value, keyword.words);
    case ValueKind::kText: return !value.empty() && std::all_of(value.begin(), value.end(), is_text_character);
  }
  SHOAL_UNREACHABLE();
}

std::string expectation(const Keyword& keyword) {
  switch (keyword.kind) {
    case ValueKind::kFlag: return "no value";
    case ValueKind::kDuration: return "a time such as 500ms, 2s or 1m";
    case ValueKind::kNumber:
      return "a number from " + std::to_string(keyword.min) + " to " + std::to_string(keyword.max);
    case ValueKind::kWord: return "one of " + std::string(keyword.words);
    case ValueKind::kText: return "a word of letters, digits and _.:-/@,()=*";
  }
  SHOAL_UNREACHABLE();
}

/// Printable, for a message: an operator's file can hold anything.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 60)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

std::string_view next_word(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const std::size_t end = text.find(' ');
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(word.size());
  return word;
}

Error bad(std::string what) { return Error{0, "haproxy.server_options: " + std::move(what)}; }

}  // namespace

Result<ServerOptions> ServerOptions::parse(std::string_view text) {
  ServerOptions out;
  std::size_t words = 0;
  const auto append = [&](std::string_view word) {
    ++words;
    return (out.text_.empty() || out.text_.append(" ")) && out.text_.append(word);
  };
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    for (const Forbidden& forbidden : kForbidden) {
      if (word == forbidden.name) {
        return bad("`" + shown(word) + "` cannot be set here: " + std::string(forbidden.why) + "; remove it");
      }
    }
    const auto* keyword =
        std::find_if(kKeywords.begin(), kKeywords.end(), [&](const Keyword& k) { return k.name == word; });
    if (keyword == kKeywords.end()) {
      std::string known;
      for (const Keyword& k : kKeywords) known += " " + std::string(k.name);
      return bad("`" + shown(word) + "` is not a known option; known are" + known);
    }
    bool fits = append(word);
    if (keyword->kind != ValueKind::kFlag) {
      const std::string_view value = next_word(text);
      if (!is_value(*keyword, value)) {
        return bad("`" + shown(word) + " " + shown(value) + "`: expected " + expectation(*keyword));
      }
      fits = fits && append(value);
    }
    if (!fits || words > kWordsMax) return bad("longer than 1024 bytes or 56 words; remove some options");
    if (word == "check") out.has_check_ = true;
  }
  return out;
}

}  // namespace shoal::haproxy
