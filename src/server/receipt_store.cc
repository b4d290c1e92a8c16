#include "server/receipt_store.h"

#include <nlohmann/json.hpp>

#include "server/json.h"

namespace ponder {
namespace {

Status none(const std::string& id) {
  return not_found("there is no receipt " + id.substr(0, 64) +
                   ": the answer is not finished, or too many came after it");
}

// The account of a receipt that lies in a file.
bool belongs_to(const std::string& json, uint64_t account) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object()) return false;
  const auto at = parsed.find("account");
  return at != parsed.end() && at->is_number_unsigned() && at->get<uint64_t>() == account;
}

}  // namespace

void ReceiptStore::add(const Receipt& receipt) {
  std::string json = receipt_json(receipt, whole());
  if (shelf_ != nullptr) shelf_->write(receipt.id, json);
  const std::lock_guard lock(mutex_);
  Row& row = rows_[receipt.id];
  if (row.json.empty()) order_.push_back(receipt.id);  // else it was given again after a restart
  bytes_ += json.size() - row.json.size();
  row = {receipt.account, std::move(json)};
  while (bytes_ > kMostBytes && order_.size() > 1) {
    bytes_ -= rows_[order_.front()].json.size();
    rows_.erase(order_.front());
    order_.pop_front();
  }
}

void ReceiptStore::find(const std::string& id, uint64_t account,
                        std::function<void(Result<std::string>)> then) {
  if (!is_answer_id(id)) return then(none(id));
  {
    std::unique_lock lock(mutex_);
    const auto row = rows_.find(id);
    if (row != rows_.end()) {
      const std::string json = row->second.account == account ? row->second.json : "";
      lock.unlock();
      return json.empty() ? then(none(id)) : then(json);
    }
  }
  if (shelf_ == nullptr) return then(none(id));
  shelf_->read(id, [id, account, then = std::move(then)](Result<std::string> file) {
    if (!file.ok() || !belongs_to(*file, account)) return then(none(id));
    then(std::move(file));
  });
}

void ReceiptStore::flush() {
  if (shelf_ != nullptr) shelf_->flush();
}

}  // namespace ponder
