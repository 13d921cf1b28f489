// Which algorithm for which size: the thresholds, from this machine's caches or from a measured profile.
// They decide about speed only; every plan gives the same bits.
#pragma once
#include "../rows/run.h"

Plan default_plan();
Plan current_plan();
void set_plan(const Plan& plan);
