import { sweep } from "./run/sweep.js"

// a quarter of the seeds
sweep(2, 4)
