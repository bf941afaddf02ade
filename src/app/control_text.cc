#include "app/control_text.h"

#include <algorithm>
#include <cstdio>

#include "base/utf8.h"

namespace shoal::app {
namespace {

/// How many characters, for columns. Wide ones count as one.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string of_all(std::uint32_t count, std::uint32_t all) { return std::to_string(count) + "/" + std::to_string(all); }

std::string address_of(const admin::Member& member) {
  const bool v6 = member.addr.find(':') != std::string::npos;
  return (v6 ? "[" + plain_text(member.addr) + "]" : plain_text(member.addr)) + ":" + std::to_string(member.port);
}

std::string round_trip_of(const admin::Member& member) {
  if (!member.rtt_us) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1fms", static_cast<double>(*member.rtt_us) / 1000);
  return text;
}

}  // namespace

std::string plain_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = utf8_size(text);
    const auto first = static_cast<unsigned char>(text[0]);
    // C1 controls (two bytes, C2 80 to C2 9F) steer terminals as ESC does.
    const bool control = first < 0x20 || first == 0x7f || (first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (size == 0 || control) {
      out += '?';
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

std::string columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width_of(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string members_text(const std::vector<admin::Member>& members) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "ADDRESS", "STATUS", "RTT", "TAGS"}};
  for (const admin::Member& member : members) {
    std::string tags;
    for (const auto& [name, value] : member.tags) {
      tags += (tags.empty() ? "" : ",") + plain_text(name) + "=" + plain_text(value);
    }
    rows.push_back(
        {plain_text(member.name), address_of(member), plain_text(member.status), round_trip_of(member), tags});
  }
  return columns(rows);
}

std::string keys_text(const admin::KeysAnswer& answer, bool list) {
  if (!list) {
    const std::size_t good = answer.answered - std::min<std::size_t>(answer.errors.size(), answer.answered);
    return "done by " + std::to_string(good) + " of " + std::to_string(answer.nodes) + " members\n";
  }
  std::vector<std::vector<std::string>> rows = {{"KEY", "NODES", "PRIMARY"}};
  for (const admin::KeyUse& use : answer.keys) {
    rows.push_back({plain_text(use.key), of_all(use.nodes, answer.nodes), of_all(use.primary_nodes, answer.nodes)});
  }
  return columns(rows);
}

}  // namespace shoal::app
