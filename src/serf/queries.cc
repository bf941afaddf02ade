#include "serf/queries.h"

namespace shoal::serf {

QueryToken OpenQueries::open(LamportTime ltime, std::uint32_t id, Instant deadline) {
  if (open_.full()) open_.erase(0);
  Open& query = open_.emplace_back();
  query.token = ++last_;
  query.ltime = ltime;
  query.id = id;
  query.deadline = deadline;
  return query.token;
}

QueryToken OpenQueries::match(LamportTime ltime, std::uint32_t id, std::string_view from, bool ack, Instant now) {
  for (std::size_t i = 0; i < open_.size(); ++i) {
    Open& query = open_[i];
    if (query.ltime != ltime || query.id != id) continue;
    if (query.deadline < now) return 0;
    const std::uint64_t responder = hash64(as_bytes(from), ack ? 1 : 2);
    for (const std::uint64_t known : query.responders) {
      if (known == responder) return 0;
    }
    if (!query.responders.full()) query.responders.push_back(responder);
    return query.token;
  }
  return 0;
}

void OpenQueries::close(QueryToken token) {
  for (std::size_t i = 0; i < open_.size(); ++i) {
    if (open_[i].token == token) return open_.erase(i);
  }
}

}  // namespace shoal::serf
