#include "rpc/filter.h"

#include <array>

#include "base/check.h"

namespace shoal::rpc {
namespace {

constexpr std::array kKinds = {EventKind::kMemberJoin,   EventKind::kMemberLeave, EventKind::kMemberFailed,
                               EventKind::kMemberUpdate, EventKind::kMemberReap,  EventKind::kUser,
                               EventKind::kQuery};

}  // namespace

std::string_view to_text(EventKind kind) {
  switch (kind) {
    case EventKind::kMemberJoin: return "member-join";
    case EventKind::kMemberLeave: return "member-leave";
    case EventKind::kMemberFailed: return "member-failed";
    case EventKind::kMemberUpdate: return "member-update";
    case EventKind::kMemberReap: return "member-reap";
    case EventKind::kUser: return "user";
    case EventKind::kQuery: return "query";
  }
  SHOAL_UNREACHABLE();
}

std::optional<EventFilter> EventFilter::parse(std::string_view text) {
  EventFilter out;
  if (text.empty()) text = "*";
  while (out.words_.size() < kWordsMax) {
    const std::size_t comma = text.find(',');
    const std::string_view spelt = text.substr(0, comma);
    const std::size_t colon = spelt.find(':');
    const std::string_view kind = spelt.substr(0, colon);
    Word word;
    for (const EventKind known : kKinds) {
      if (to_text(known) == kind) word.kind = known;
    }
    const bool may_have_name = word.kind == EventKind::kUser || word.kind == EventKind::kQuery;
    if (spelt != "*" && (!word.kind || (colon != std::string_view::npos && !may_have_name))) return std::nullopt;
    if (colon != std::string_view::npos) word.name = spelt.substr(colon + 1);
    out.words_.push_back(std::move(word));
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
  return std::nullopt;
}

bool EventFilter::matches(EventKind kind, std::string_view name) const {
  for (const Word& word : words_) {
    if (!word.kind) return true;
    if (*word.kind == kind && (word.name.empty() || word.name == name)) return true;
  }
  return false;
}

}  // namespace shoal::rpc
