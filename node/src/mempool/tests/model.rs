//! A pool without indexes, a list that is sorted whenever something is asked, is driven by the same
//! operations and must agree.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { transactions: 9, bytes: 1800, floor: Fees { base: Amount(20), per_byte: Amount(0) } };

#[derive(Default)]
struct Model {
    held: Vec<CheckedTransaction>,
}

impl Model {
    fn of(&self, account: Address) -> Vec<&CheckedTransaction> {
        let mut queue: Vec<_> = self.held.iter().filter(|held| held.get().sender_address() == Some(account)).collect();
        queue.sort_by_key(|held| held.get().nonce);
        queue
    }

    /// Whether it could be mined after those before it, and the least that is paid for a byte up to it.
    fn standing(&self, transaction: &CheckedTransaction, world: &World) -> (bool, FeeRate) {
        let sender = transaction.get().sender_address().expect("all are paid");
        let next = world.account(sender).expect("readable").nonce;
        let nonce = transaction.get().nonce;
        let up_to: Vec<_> = self.of(sender).into_iter().filter(|held| held.get().nonce <= nonce).collect();
        let rate = up_to.iter().map(|held| held.rate()).min().expect("itself");
        (up_to.len() as u64 == nonce - next + 1, rate)
    }

    fn settle(&mut self, account: Address, world: &World) {
        let Account { balance, nonce: next } = world.account(account).expect("readable");
        let mut spent = 0;
        let mut stale = Vec::new();
        for held in self.of(account) {
            let nonce = held.get().nonce;
            if nonce < next || nonce >= next.saturating_add(MAX_QUEUE) {
                stale.push(held.id());
                continue;
            }
            spent += held.cost();
            if spent > balance.0.into() {
                stale.push(held.id());
            }
        }
        self.held.retain(|held| !stale.contains(&held.id()));
    }

    fn insert(&mut self, new: CheckedTransaction, world: &World) -> Result<(), Refusal> {
        let id = new.id();
        if self.held.iter().any(|held| held.id() == id) {
            return Err(Refusal::Known { id });
        }
        let (fee, found) = (new.get().fee, new.get().nonce);
        if fee < LIMITS.floor.base {
            return Err(Refusal::Floor { fee, bytes: new.bytes(), least: LIMITS.floor.base });
        }
        let sender = new.get().sender_address().expect("all are paid");
        self.settle(sender, world);
        let Account { balance, nonce: next } = world.account(sender).expect("readable");
        if found < next {
            return Err(Refusal::UsedNonce { found, next });
        }
        if found >= next + MAX_QUEUE {
            return Err(Refusal::FarNonce { found, next, limit: MAX_QUEUE });
        }
        let mut after = Self { held: self.held.clone() };
        let holder = self.of(sender).into_iter().find(|held| held.get().nonce == found);
        if let Some(holder) = holder {
            let by_fee = fee.0 as f64 / holder.get().fee.0 as f64;
            let by_rate = by_fee * holder.bytes() as f64 / new.bytes() as f64;
            // Small numbers: whatever is not a tenth more is off by more than this.
            if by_fee < 1.1 - 1e-9 || by_rate < 1.1 - 1e-9 {
                return Err(Refusal::Replacement { fee, holder: holder.id(), least: 0 });
            }
            after.held.retain(|held| held.id() != holder.id());
        }
        after.held.push(new);
        let cost = |to: u64| -> u128 {
            after.of(sender).iter().filter(|held| held.get().nonce <= to).map(|held| held.cost()).sum()
        };
        let needed = cost(if holder.is_some() { u64::MAX } else { found });
        if needed > balance.0.into() {
            return Err(Refusal::Balance { balance, needed });
        }
        after.settle(sender, world);

        let standing = after.standing(after.held.iter().find(|held| held.id() == id).expect("itself"), world);
        let over = |model: &Self| {
            model.held.len() > LIMITS.transactions
                || model.held.iter().map(CheckedTransaction::bytes).sum::<usize>() > LIMITS.bytes
        };
        while over(&after) {
            let others = after.held.iter().filter(|held| held.get().sender_address() != Some(sender));
            let worst = others
                .map(|held| {
                    let owner = held.get().sender_address().expect("all are paid");
                    (after.standing(held, world), Reverse(held.get().nonce), owner, held.id())
                })
                .min();
            match worst {
                Some((worst, _, _, id)) if displaces(standing, worst) => after.held.retain(|held| held.id() != id),
                _ => return Err(Refusal::Full { rate: standing.1, ready: standing.0 }),
            }
        }
        self.held = after.held;
        Ok(())
    }

    /// The best that could be mined next, again and again.
    fn selection(&self, world: &World, mut bytes: usize) -> Vec<TransactionId> {
        let mut left = Self { held: self.held.clone() };
        let mut next: HashMap<Address, u64> = HashMap::new();
        let mut taken = Vec::new();
        loop {
            let best = left.held.iter().filter(|held| {
                let sender = held.get().sender_address().expect("all are paid");
                let start = world.account(sender).expect("readable").nonce;
                held.get().nonce == *next.get(&sender).unwrap_or(&start) && held.bytes() <= bytes
            });
            let Some(best) = best.max_by_key(|held| (held.rate(), Reverse(held.id()))) else {
                return taken;
            };
            taken.push(best.id());
            bytes -= best.bytes();
            next.insert(best.get().sender_address().expect("all are paid"), best.get().nonce + 1);
            let id = best.id();
            left.held.retain(|held| held.id() != id);
        }
    }
}

/// What can be mined goes before what cannot, and otherwise it takes a tenth more.
fn displaces(new: (bool, FeeRate), worst: (bool, FeeRate)) -> bool {
    let rates = (new.1.units_per_byte(), worst.1.units_per_byte());
    new.0 && !worst.0 || new.0 == worst.0 && new.1 > worst.1 && rates.0 >= rates.1 * 1.1 - 1e-9
}

#[derive(Clone, Debug)]
enum Step {
    Insert { name: u8, nonce: u64, fee: u64, amount: u64, memo: usize },
    Tip { name: u8, balance: u64, nonce: u64 },
    Mine { bytes: usize },
    Undo { blocks: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let nonce = prop_oneof![9 => 0u64..6, 1 => 60u64..70];
    let insert = (1u8..5, nonce, 10u64..200, 1u64..200, 0usize..65)
        .prop_map(|(name, nonce, fee, amount, memo)| Step::Insert { name, nonce, fee, amount, memo });
    let tip = (1u8..5, 0u64..1500, 0u64..6).prop_map(|(name, balance, nonce)| Step::Tip { name, balance, nonce });
    prop_oneof![
        20 => insert,
        2 => tip,
        1 => (0usize..1000).prop_map(|bytes| Step::Mine { bytes }),
        1 => (1usize..3).prop_map(|blocks| Step::Undo { blocks }),
    ]
}

/// A refusal without what the model does not reckon.
fn coarse(result: Result<(), Refusal>) -> Result<(), Refusal> {
    result.map_err(|refusal| match refusal {
        Refusal::Replacement { fee, holder, .. } => Refusal::Replacement { fee, holder, least: 0 },
        other => other,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_pool_does_what_the_list_does(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::with(&[(1, 1000), (2, 700), (3, 300), (4, 100)]);
        let mut pool = Mempool::new(LIMITS);
        let mut model = Model::default();
        let mut blocks: Vec<(World, Vec<CheckedTransaction>)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert { name, nonce, fee, amount, memo } => {
                    let new = transfer_of(name, nonce, fee, amount, memo);
                    let found = insert(&mut pool, new.clone(), &world);
                    prop_assert_eq!(coarse(found.map(drop)), coarse(model.insert(new, &world)));
                }
                Step::Tip { name, balance, nonce } => {
                    world.set(name, balance, nonce);
                    pool.advance([address(name)], &world).expect("readable");
                    model.settle(address(name), &world);
                    blocks.clear();
                }
                Step::Mine { bytes } => {
                    let room = Room { bytes, ..room() };
                    let mined: Vec<_> = pool.select(room).map(|found| CheckedTransaction::clone(found)).collect();
                    let ids: Vec<_> = mined.iter().map(CheckedTransaction::id).collect();
                    prop_assert_eq!(&ids, &model.selection(&world, bytes));
                    let before = world.clone();
                    for transaction in &mined {
                        let sender = transaction.get().sender_address().expect("all are paid");
                        let account = world.accounts.get_mut(&sender).expect("it pays");
                        prop_assert_eq!(account.nonce, transaction.get().nonce, "nonces in order");
                        let left = u128::from(account.balance.0).checked_sub(transaction.cost());
                        account.balance = Amount(left.expect("whatever is offered can be paid") as u64);
                        account.nonce += 1;
                    }
                    let dropped = pool.advance_all(&world).expect("readable");
                    prop_assert_eq!(dropped.into_iter().collect::<HashSet<_>>(), ids.into_iter().collect());
                    (1..5).for_each(|name| model.settle(address(name), &world));
                    blocks.push((before, mined));
                }
                Step::Undo { blocks: count } => {
                    let mut back = Vec::new();
                    for (before, mined) in blocks.drain(blocks.len().saturating_sub(count)..).rev() {
                        world = before;
                        back.splice(0..0, mined);
                    }
                    pool.advance_all(&world).expect("readable");
                    (1..5).for_each(|name| model.settle(address(name), &world));
                    pool.restore(back.clone(), &world).expect("readable");
                    back.into_iter().for_each(|transaction| drop(model.insert(transaction, &world)));
                }
            }
            check(&pool);
            let held: HashSet<_> = model.held.iter().map(CheckedTransaction::id).collect();
            prop_assert_eq!(ids(&pool), held);
        }
    }
}
