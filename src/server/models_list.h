// Lists of models as OpenAI and DeepSeek show them.
#pragma once

#include "server/dialect.h"

namespace ponder {

void list_models(const Call& call);
void show_model(const Call& call);  // the one that Call::rest names

}  // namespace ponder
